"""A coded photo and what is said about it, put together: the file as it is published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from facefx.video.still_encode import Encoded, encode_still
from facefx.video.still_heif import Heif
from facefx.video.still_jpeg import Jpeg
from facefx.video.still_kinds import TargetKind, read_bytes
from facefx.video.still_meta import Metadata, MetadataPolicy, Removal
from facefx.video.still_png import Png
from facefx.video.still_source import Still
from facefx.video.still_webp import WebP

__all__ = ["Written", "untouched", "written"]

# A segment of a JPEG holds no more; its marks take a few bytes of that. A profile may take 255 of them.
_JPEG_BLOCK = 65000
_JPEG_PROFILE = 255 * _JPEG_BLOCK


@dataclass(frozen=True, slots=True)
class Written:
    """A photo's file. metadata: as it must stand in it; exact: no sample may differ from what was edited."""

    data: bytes
    how: str
    metadata: Metadata
    removed: tuple[Removal, ...]
    exact: bool


def untouched(still: Still, policy: MetadataPolicy, data: bytes | None = None) -> Written:
    """The source's own file: byte for byte, unless the policy leaves something out.

    data: the file, where it is at hand; otherwise it is read again.

    Raises SourceError where it can no longer be read.
    """
    container, removed = still.container.cleaned(policy)
    assert not isinstance(container, Heif)
    if removed:
        how, data = "the source's own coded picture", container.to_bytes()
    else:  # what the container leaves open, such as fill bytes, stays as it is too
        how, data = "the source's own bytes", data or read_bytes(still.path)[0]
    return Written(data, how, container.metadata, removed, exact=True)


def written(
    edited: Still, target: TargetKind, policy: MetadataPolicy, *, lossless: bool = False
) -> Iterator[Written]:
    """Code an edited photo: the first choice, then what to take if that is not close enough.

    Raises UnsupportedError where the kind of file cannot hold it.
    """
    container, removed = edited.container.cleaned(policy)
    for encoded in encode_still(edited, target, lossless=lossless):
        same = _same_kind(container, encoded)
        if same is not None:
            old = container.of_these_samples if isinstance(container, Png) else ()
            left = tuple(Removal(what, "it is true of the old samples only") for what in old)
            yield Written(same.to_bytes(), encoded.how, container.metadata, (*removed, *left), encoded.exact)
            continue
        metadata, unfit = _fitting(container, target, edited)
        image = encoded.image.with_metadata(metadata)
        yield Written(image.to_bytes(), encoded.how, metadata, (*removed, *unfit), encoded.exact)


def _same_kind(container: Jpeg | Png | WebP | Heif, encoded: Encoded) -> Jpeg | Png | WebP | None:
    """The source's file with the new picture in it; None where the kinds differ."""
    image = encoded.image
    if isinstance(container, Jpeg) and isinstance(image, Jpeg):
        return container.with_image(image)
    if isinstance(container, Png) and isinstance(image, Png):
        return container.with_image(image)
    if isinstance(container, WebP) and isinstance(image, WebP):
        return container.with_image(image)
    return None


def _fitting(
    container: Jpeg | Png | WebP | Heif, target: TargetKind, edited: Still
) -> tuple[Metadata, tuple[Removal, ...]]:
    """What of the metadata another kind of file can hold, and what it cannot."""
    metadata = container.metadata
    left = [] if isinstance(container, Heif) else [
        Removal(what, f"a {target} file has no place for it") for what in container.of_this_kind
    ]  # fmt: skip
    if target == "jpeg":
        for name in ("exif", "xmp"):
            block = metadata.exif if name == "exif" else metadata.xmp
            if block and len(block) > _JPEG_BLOCK:
                left.append(Removal(name.upper(), "too large for a jpeg file"))
                metadata = replace(metadata, exif=None) if name == "exif" else replace(metadata, xmp=None)
        if metadata.icc and len(metadata.icc) > _JPEG_PROFILE:
            left.append(Removal("ICC profile", "too large for a jpeg file"))
            metadata = replace(metadata, icc=None)
    grey = edited.samples is not None and edited.samples.shape[2] == 1
    if grey and target == "webp" and metadata.icc:
        left.append(Removal("ICC profile", "it is of a grey photo, and a webp file has colours"))
        metadata = replace(metadata, icc=None)
    return metadata, tuple(left)
