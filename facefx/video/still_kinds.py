"""What kind of photo a file is: by its first bytes; what its name and a wish for a name stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from facefx.errors import DamagedError, SourceError, TooLargeError, UnsupportedError
from facefx.video.guard import Limits, foreign_errors

__all__ = [
    "STILL_LIMITS",
    "STILL_SUFFIXES",
    "StillKind",
    "TargetKind",
    "check_pixels",
    "checked_kind",
    "cut_short",
    "is_photo_head",
    "kind_of",
    "read_bytes",
    "target_kind",
    "writable_suffix",
]  # fmt: skip

StillKind = Literal["jpeg", "png", "webp", "heif"]
TargetKind = Literal["jpeg", "png", "webp"]

STILL_LIMITS = Limits(max_pixels=1 << 26)
"""67 million pixels: what phones take at most (64 MP), still below 2 GB of memory at work."""

_MAX_BYTES = 256 << 20
_HEAD = 64
_TARGETS: dict[str, TargetKind] = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}
_ALSO_JPEG = (".jpe", ".jfif")
STILL_SUFFIXES = frozenset((*_TARGETS, *_ALSO_JPEG, ".heic", ".heif", ".hif", ".avif"))
"""Names under which a file is taken for a photo, whatever it turns out to hold."""

_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif"))
# Photos of kinds that are named when they are refused: a user should not have to guess.
_REFUSED = (
    (b"GIF8", "a GIF, which may be animated"),
    (b"II*\0", "a TIFF or a camera's raw file"),
    (b"MM\0*", "a TIFF or a camera's raw file"),
    (b"II+\0", "a BigTIFF"),
    (b"MM\0+", "a BigTIFF"),
    (b"BM", "a BMP"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
)


def kind_of(head: bytes) -> StillKind | None:
    r"""Name the kind of photo that begins with these bytes, or None.

    >>> kind_of(b"\xff\xd8\xff\xe0"), kind_of(b"hello")
    ('jpeg', None)
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return "heif" if _is_heif(head) else None


def _is_heif(head: bytes) -> bool:
    """A HEIF file (HEIC, AVIF) says so in its first box; a sequence of pictures says something else."""
    if head[4:8] != b"ftyp":
        return False
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(len(head), _size(head)), 4))}
    return bool(brands & _HEIF_BRANDS) and not brands & {b"isom", b"mp42", b"qt  "}


def _size(head: bytes) -> int:
    return int.from_bytes(head[:4], "big")


def is_photo_head(head: bytes) -> bool:
    """True for the first bytes of any kind of photo, also of one that is refused."""
    return kind_of(head) is not None or any(head.startswith(magic) for magic, _ in _REFUSED if len(magic) > 2)


def writable_suffix(suffix: str) -> bool:
    """True for a suffix under which a photo can be written."""
    return suffix.lower() in _TARGETS or suffix.lower() in _ALSO_JPEG


def target_kind(output: str) -> TargetKind:
    """What a name for the output asks for.

    Raises UnsupportedError for a name that stands for no kind that can be written.

    >>> target_kind("out/a.JPG")
    'jpeg'
    """
    suffix = Path(output).suffix.lower()
    if writable_suffix(suffix):
        return _TARGETS.get(suffix, "jpeg")
    raise UnsupportedError(
        f"{output}: a photo cannot be written as {suffix or 'a file without a suffix'}: expected one of "
        f"{', '.join(_TARGETS)}"
    )


def read_bytes(path: Path) -> tuple[bytes, StillKind]:
    """Read a photo whole, and say what it is.

    Raises SourceError for what is none, UnsupportedError by name for a kind that is not carried.
    """
    with foreign_errors(path, "reading"):
        if not path.exists():
            raise SourceError(f"{path}: does not exist; check the path")
        if not path.is_file():
            raise SourceError(f"{path}: expected a regular file with a photo; name one")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    return data, checked_kind(data, path)


def checked_kind(data: bytes, path: Path) -> StillKind:
    """Say what kind of photo a whole file is. path: its name, for messages.

    Raises SourceError for what is none, UnsupportedError by name for a kind that is not carried.
    """
    if not data:
        raise SourceError(f"{path}: is empty (0 bytes), expected a photo; export it again")
    if len(data) > _MAX_BYTES:
        raise TooLargeError(f"{path}: is larger than {_MAX_BYTES >> 20} MB, the most that a photo may be")
    kind = kind_of(data[:_HEAD])
    if kind is None:
        raise _refusal(path, data)
    return kind


def check_pixels(path: Path, width: int, height: int, limits: Limits) -> None:
    """Refuse a picture without pixels or above the limit, before one of them is decoded.

    Raises SourceError, TooLargeError.
    """
    if width < 1 or height < 1:
        raise SourceError(f"{path}: says that it is {width}x{height} pixels; get a better copy")
    if width * height > limits.max_pixels:
        raise TooLargeError(
            f"{path}: {width}x{height} = {width * height} pixels, limit {limits.max_pixels}; shrink it first"
        )


def cut_short(path: Path, at: int) -> DamagedError:
    """What to say of a file that ends at a byte before its photo does."""
    return DamagedError(
        f"{path}: the photo ends early, at byte {at}: it is cut short; get a better copy",
        decoded=0,
        expected=1,
    )


def _refusal(path: Path, data: bytes) -> SourceError | UnsupportedError:
    for magic, name in _REFUSED:
        if data.startswith(magic):
            return UnsupportedError(
                f"{path}: is {name}: expected a JPEG, PNG, WebP, HEIC or AVIF photo; convert it first"
            )
    return SourceError(
        f"{path}: is no photo: expected a JPEG, PNG, WebP, HEIC or AVIF file, got {_looks_like(data[:512])}"
    )


def _looks_like(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "a video or a sequence of pictures in an MP4-like file"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return "bytes of no known kind"
    return "text" if b"\0" not in head else "bytes of no known kind"
