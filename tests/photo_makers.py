"""Photos to test with, and how a test looks at what became of them: by OpenCV alone, as a viewer would."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.config import RunConfig, load_config
from facefx.demo import PORTRAIT_FACE, portrait_picture

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]

FACE: Box = PORTRAIT_FACE
"""Of portrait(), which is cut below the face and keeps its place."""

_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_THUMBNAIL: bytes = cv2.imencode(".jpg", np.full((16, 16, 3), 200, np.uint8))[1].tobytes()


def settings(*effects: str, **more: Any) -> RunConfig:
    """Settings with the detector that comes with the package; privacy by default."""
    return load_config(None, {"effects": effects or ("solid",), "detector": "blazeface", **more})


def portrait() -> Picture:
    """One woman, 512 × 344 pixels, blue first: no two turns of it look alike."""
    return np.ascontiguousarray(portrait_picture()[:344, :, ::-1])


def empty_scene(width: int = 320, height: int = 240) -> Picture:
    """Nobody: soft noise, blue first."""
    coarse = np.random.default_rng(7).integers(60, 200, (height // 16, width // 16, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def coded(picture: Picture, suffix: str = ".jpg") -> bytes:
    """A picture as a file of that kind: JPEG and WebP at quality 92, PNG whole."""
    options = {".png": [], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 92]}
    fine, data = cv2.imencode(suffix, picture, options.get(suffix, [cv2.IMWRITE_JPEG_QUALITY, 92]))
    assert fine
    return bytes(data)


def put(path: Path, data: bytes | Picture | None = None) -> Path:
    """Write a photo (the portrait, if nothing else is said), and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(data, bytes):
        data = coded(portrait() if data is None else data, path.suffix)
    path.write_bytes(data)
    return path


def exif(orientation: int = 1, thumbnail: bool = False, text: str = "") -> bytes:
    """EXIF as a camera writes it: orientation, a description, and a small copy of the photo."""
    words = text.encode() + b"\0"
    count, at = 1 + bool(text), 8
    behind = at + 2 + 12 * count + 4
    table = struct.pack("<HHHI", count, 0x010E, 2, len(words)) if text else struct.pack("<H", count)
    if text:
        assert len(words) > 4
        table += struct.pack("<I", behind)
    table += struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    values = words if text else b""
    second = behind + len(values)
    head = b"II*\0" + struct.pack("<I", at) + table + struct.pack("<I", second if thumbnail else 0) + values
    if not thumbnail:
        return head
    small = struct.pack("<HHHII", 2, 0x0201, 4, 1, second + 30)
    small += struct.pack("<HHII", 0x0202, 4, 1, len(_THUMBNAIL)) + struct.pack("<I", 0)
    return head + small + _THUMBNAIL


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """A JPEG with an EXIF segment put first."""
    body = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def turned(picture: Picture, orientation: int) -> Picture:
    """The picture as it must be stored for a viewer to show it upright. Source: CIPA DC-008 §4.6.5."""
    if orientation >= 5:
        picture = picture.transpose(1, 0, 2)
    flip_x, flip_y = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
        orientation
    ]
    return np.ascontiguousarray(picture[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def stored(path: Path) -> Picture:
    """The pixels in the order of the file, blue first."""
    return np.asarray(cv2.imread(str(path), _AS_STORED), np.uint8)


def shown(path: Path) -> Picture:
    """The pixels as a viewer turns them, blue first."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)


def core(picture: Picture, boxes: Iterable[Sequence[float]]) -> Mask:
    """Pixels that lie in the ellipse within any of the boxes: there a face must not show."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    mask = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        mask |= ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 <= 1
    return mask


def away(picture: Picture, boxes: Iterable[Sequence[float]]) -> Mask:
    """Pixels that no effect on these faces reaches, nor a block of 16 that it touches."""
    mask = np.ones(picture.shape[:2], bool)
    for x0, y0, x1, y1 in boxes:
        across, down = 0.35 * (x1 - x0) + 16, 0.35 * (y1 - y0) + 16
        mask[
            max(0, int(y0 - down)) : max(0, int(y1 + down)),
            max(0, int(x0 - across)) : max(0, int(x1 + across)),
        ] = False
    return mask


def change(before: Picture, after: Picture, mask: Mask) -> int:
    """The largest difference of a sample in the mask."""
    assert before.shape == after.shape
    return int(np.abs(before.astype(int) - after.astype(int))[mask].max(initial=0))


def brightest(picture: Picture, mask: Mask) -> int:
    """The largest sample in the mask, which must hold some pixel."""
    assert mask.any()
    return int(picture[mask].max())


def names(folder: Path) -> list[str]:
    """All files and folders below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
