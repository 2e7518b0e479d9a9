"""Photos changed in one line, and small readers of files that share no code with facefx."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from still_makers import Chunk, Pixels, save

from facefx.values import Patch
from facefx.video.still_fidelity import Promise, verify_still
from facefx.video.still_kinds import TargetKind
from facefx.video.still_meta import MetadataPolicy
from facefx.video.still_source import Still, open_still
from facefx.video.still_write import Written, written

Box = tuple[float, float, float, float]


def cover(still: Still, xyxy: Box, value: int = 40) -> Patch:
    """A patch of one code in every plane."""
    patch = Patch.cut(still.format, 0, still.planes, xyxy)
    assert patch is not None
    for plane in patch.planes:
        plane[:] = value
    return patch


def change(
    path: Path, target: TargetKind, xyxy: Box = (8, 8, 24, 24), policy: MetadataPolicy = "keep"
) -> tuple[Written, Promise]:
    """Cover a part of a photo and write it; the first choice that keeps its promise."""
    still = open_still(path, target)
    patches = [cover(still, xyxy)]
    # As hiding does: of sixteen bits only ten are edited, and none may be left.
    edited = still.with_patches(patches, still.samples is not None and still.samples.dtype != np.uint8)
    for choice in written(edited, target, policy):
        promise = Promise(still, edited, patches, target, policy, choice.metadata, choice.exact)
        report = verify_still(promise, save(path.parent, f"out.{target}", choice.data))
        if report.ok:
            break
    report.raise_if_broken()
    return choice, promise


def rgb_of(data: bytes) -> Pixels:
    """What OpenCV reads, red first, not turned."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    assert pixels is not None
    array = np.asarray(pixels)
    return array if array.ndim == 2 else np.dstack([array[..., 2::-1], array[..., 3:]])


def jpeg_planes(data: bytes) -> list[Pixels]:
    """A JPEG's own planes, as libavcodec decodes them."""
    context: Any = av.CodecContext.create("mjpeg", "r")
    frames: list[Any] = [*context.decode(av.Packet(data)), *context.decode(None)]
    (frame,) = frames
    planes = []
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        planes.append(lines[: plane.height, : plane.width].copy())
    return planes


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """(marker, body) up to the first scan, and what lies behind the end of the last as marker 0."""
    assert data[:2] == b"\xff\xd8"
    found, at = [], 2
    while True:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        assert data[at] == 0xFF
        found.append((marker, data[at + 4 : at + 2 + size]))
        at += 2 + size
        if marker == 0xDA:
            break
    end = data.rindex(b"\xff\xd9")
    return [*found, (0, data[end + 2 :])]


def bodies(data: bytes, marker: int, mark: bytes = b"") -> list[bytes]:
    """What the segments of a marker hold behind their mark."""
    return [
        body[len(mark) :] for found, body in jpeg_segments(data) if found == marker and body.startswith(mark)
    ]


def exif_of(data: bytes) -> bytes:
    """A JPEG's EXIF."""
    (block,) = bodies(data, 0xE1, b"Exif\0\0")
    return block


def png_chunks(data: bytes) -> list[Chunk]:
    """(kind, body) of each chunk; checksums hold."""
    found, at = [], 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack_from(">I", data, at + 8 + size)[0]
        found.append((kind, body))
        at += 12 + size
    return found


def webp_chunks(data: bytes) -> list[Chunk]:
    """(name, body) of each chunk; the sizes add up."""
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    found, at = [], 12
    while at < len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        found.append((name, data[at + 8 : at + 8 + size]))
        at += 8 + size + (size & 1)
    assert at == len(data)
    return found


def tags(block: bytes) -> dict[int, bytes]:
    """Tags of all directories of a TIFF block that can be reached, with their values as stored."""
    order = {b"II": "<", b"MM": ">"}[block[:2]]
    widths = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8}
    found: dict[int, bytes] = {}
    todo = [struct.unpack_from(order + "I", block, 4)[0]]
    while todo:
        at = todo.pop()
        (count,) = struct.unpack_from(order + "H", block, at)
        for i in range(count):
            tag, kind, number = struct.unpack_from(order + "HHI", block, at + 2 + 12 * i)
            size, where = widths.get(kind, 1) * number, at + 10 + 12 * i
            if size > 4:
                (where,) = struct.unpack_from(order + "I", block, where)
            found[tag] = block[where : where + size]
            if tag in (0x8769, 0x8825, 0xA005):
                todo.append(struct.unpack(order + "I", found[tag])[0])
        (following,) = struct.unpack_from(order + "I", block, at + 2 + 12 * count)
        todo += [following] if following else []
    return found


def psnr(one: Pixels, other: Pixels) -> float:
    """PSNR in dB of 8-bit samples; infinite where all are the same."""
    assert one.shape == other.shape
    error = float(np.square(one.astype(np.float64) - other.astype(np.float64)).mean())
    return np.inf if error == 0 else float(10 * np.log10(255**2 / error))
