"""Photos with one property each, made on the spot."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Chunk = tuple[bytes, bytes]

SAMPLINGS = {"420": 0x221111, "422": 0x211111, "440": 0x121111, "444": 0x111111, "411": 0x411111}
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
SMALL_JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0" + b"a small face" * 20 + b"\xff\xd9"


def scene(width: int, height: int, *, top: int = 230, seed: int = 3) -> Pixels:
    """(h, w, 3) red, green, blue: slopes, a disc and a little noise, nowhere black or white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    disc = ((x - width / 3) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 4) ** 2) * 50.0
    parts = [60 + 90 * x / width + disc, 70 + 80 * y / height, 160 - 60 * (x + y) / (width + height) - disc]
    noisy = np.stack(parts, axis=-1) + rng.normal(0, 3, (height, width, 3))
    return np.asarray(np.clip(noisy, 25, top), np.uint8)


def lettering(width: int, height: int) -> Pixels:
    """Black on white, as slides and scans are: nearly every sample is at an end of the scale."""
    page = np.full((height, width, 3), 255, np.uint8)
    for line in range(0, height, 30):
        cv2.putText(page, "Hello WORLD 123", (5, line + 20), 0, 0.8, (0, 0, 0), 2)
    return page


def save(folder: Path, name: str, data: bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(data)
    return path


def _by_opencv(suffix: str, pixels: Pixels, options: Sequence[int]) -> bytes:
    swapped = pixels if pixels.ndim == 2 else np.dstack([pixels[..., 2::-1], pixels[..., 3:]])
    fine, data = cv2.imencode(suffix, swapped, list(options))
    assert fine
    return bytes(data.tobytes())


def jpeg(
    pixels: Pixels, *, sampling: str = "420", quality: int = 90, progressive: bool = False, restart: int = 0
) -> bytes:
    """A JPEG by libjpeg; grey for a picture of two axes."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling]]
    options += [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
    return _by_opencv(".jpg", pixels, options)


def coded_scan(plane: Pixels, quality: int = 90) -> dict[int, bytes]:
    """A plane as libjpeg codes a grey picture: its segments by marker, the scan's data as 0."""
    data = jpeg(plane, quality=quality)
    found, at = dict[int, bytes](), 2
    while data[at + 1] != 0xD9:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        # Of tables, AC's comes behind DC's: both are kept.
        found[data[at + 1]] = found.get(data[at + 1], b"") + data[at : at + 2 + size]
        at += 2 + size
        if 0xDA in found:
            break
    found[0] = data[at : data.rindex(b"\xff\xd9")]
    return found


def separate_scans(
    planes: Sequence[Pixels], factors: Sequence[int], *said: bytes, ids: bytes = b"\1\2\3"
) -> bytes:
    """A baseline JPEG in which each plane has a scan of its own, as some scanners write them."""
    scans = [coded_scan(plane) for plane in planes]
    height, width = planes[0].shape
    listed = b"".join(bytes((number, factor, 0)) for number, factor in zip(ids, factors, strict=True))
    out = b"\xff\xd8" + b"".join(said) + scans[0][0xDB]
    out += segment(0xC0, b"\x08" + struct.pack(">HHB", height, width, len(planes)) + listed)
    for number, scan in zip(ids, scans, strict=True):
        out += scan[0xC4] + segment(0xDA, bytes((1, number, 0, 0, 63, 0))) + scan[0]
    return out + b"\xff\xd9"


def webp(pixels: Pixels, quality: int = 80) -> bytes:
    """A WebP by libwebp; a quality of 101 keeps every sample."""
    return _by_opencv(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG marker segment."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """A JPEG with more segments behind its JFIF header."""
    end = 4 + int.from_bytes(data[4:6], "big")
    return data[:end] + b"".join(segments) + data[end:]


def exif(
    entries: Mapping[int, tuple[int, int, bytes]],
    *,
    order: str = ">",
    thumbnail: bytes = b"",
    tail: bytes = b"",
) -> bytes:
    """A TIFF block: tag → (type, count, value); a thumbnail goes into a second directory."""
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8)
    behind = 8 + 6 + 12 * len(entries)
    table, values = struct.pack(order + "H", len(entries)), b""
    for tag, (kind, count, value) in sorted(entries.items()):
        table += struct.pack(order + "HHI", tag, kind, count)
        if len(value) <= 4:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", behind + len(values))
            values += value + bytes(len(value) & 1)
    following = behind + len(values) if thumbnail else 0
    block = head + table + struct.pack(order + "I", following) + values
    if thumbnail:
        at = following + 2 + 2 * 12 + 4
        block += struct.pack(order + "HHHIIHHII", 2, 0x0201, 4, 1, at, 0x0202, 4, 1, len(thumbnail))
        block += struct.pack(order + "I", 0) + thumbnail
    return block + tail


def turned_exif(orientation: int, *, order: str = ">", **more: Any) -> bytes:
    """EXIF with an orientation, a camera's name, and what else is given."""
    entries = {0x0110: (2, 9, b"Camera 1\0"), 0x0112: (3, 1, struct.pack(order + "H", orientation))}
    return exif(entries, order=order, **more)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def packed_rows(samples: Pixels, depth: int) -> bytes:
    """(h, w, c) as a PNG's rows, each with filter 0."""
    rows = []
    for row in samples.reshape(len(samples), -1):
        if depth == 16:
            raw = row.astype(">u2").tobytes()
        else:
            bits = (row.astype(np.uint8)[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            raw = np.packbits(bits.reshape(-1)).tobytes()
        rows.append(b"\0" + raw)
    return b"".join(rows)


def png(
    samples: Pixels, colour: int, depth: int = 8, *, before: Iterable[bytes] = (), adam7: bool = False,
    size: tuple[int, int] | None = None, behind: bytes = b"",
) -> bytes:  # fmt: skip
    """A PNG of (h, w, c) samples, of any colour type and depth; before: ready-made chunks."""
    height, width = samples.shape[:2]
    head = struct.pack(">IIBBBBB", *(size or (width, height)), depth, colour, 0, 0, int(adam7))
    if adam7:
        passes = [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ]
        rows = b"".join(packed_rows(samples[y::dy, x::dx], depth) for x, y, dx, dy in passes if width > x)
    else:
        rows = packed_rows(samples, depth)
    parts = [png_chunk(b"IHDR", head), *before, png_chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + png_chunk(b"IEND", b"") + behind


def riff(chunks: Sequence[Chunk], behind: bytes = b"") -> bytes:
    """A WebP file of chunks."""
    body = b"WEBP" + b"".join(
        name + len(data).to_bytes(4, "little") + data + bytes(len(data) & 1) for name, data in chunks
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body + behind


def vp8x(size: tuple[int, int], flags: int) -> Chunk:
    """The extended header of a WebP."""
    width, height = (side - 1 for side in size)
    return b"VP8X", bytes((flags, 0, 0, 0)) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


_CODECS = {
    b"avif": ("libsvtav1", b"av01", b"av1C", {"crf": "10", "preset": "12", "svtav1-params": "lp=1"}),
    b"heic": ("libx265", b"hvc1", b"hvcC", {
        "preset": "ultrafast", "x265-params": "qp=4:bframes=0:log-level=none:pools=none:frame-threads=1",
    }),
}  # fmt: skip


def coded(pixels: Pixels, brand: bytes, deep: bool = False) -> tuple[bytes, bytes]:
    """(decoder's set-up, coded bytes) of one picture, as a HEIC or AVIF item holds them."""
    codec, _, _, options = _CODECS[brand]
    target: Any = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        stream: Any = output.add_stream(codec, rate=1, options=options)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p10le" if deep else "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            packet.pts = packet.dts = 0
            output.mux(packet)
    target.seek(0)
    with av.open(target, "r") as again:
        video = again.streams.video[0]
        data = b"".join(bytes(packet) for packet in again.demux(video) if packet.size)
        return bytes(video.codec_context.extradata or b""), data


def box(kind: bytes, body: bytes) -> bytes:
    """An ISO base media box."""
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, body: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags) + body)


def ispe(width: int, height: int) -> bytes:
    """A picture's size, as a property."""
    return full(b"ispe", struct.pack(">II", width, height))


class HeifMaker:
    """Puts items together to a HEIC or AVIF file."""

    def __init__(self, brand: bytes = b"avif") -> None:
        self.brand = brand
        self.items: list[tuple[bytes, bytes, list[bytes], bytes]] = []
        self.links: list[tuple[bytes, int, list[int]]] = []

    def add(self, kind: bytes, data: bytes, *properties: bytes, content: bytes = b"") -> int:
        """Add an item and return its number."""
        self.items.append((kind, data, list(properties), content))
        return len(self.items)

    def picture(self, pixels: Pixels, *properties: bytes, deep: bool = False) -> int:
        """Add a coded picture, AV1 or HEVC as the brand says."""
        _, kind, setup, _ = _CODECS[self.brand]
        config, data = coded(pixels, self.brand, deep)
        depths = full(b"pixi", b"\3" + (b"\x0a" if deep else b"\x08") * 3)
        return self.add(
            kind, data, box(setup, config), depths, ispe(pixels.shape[1], pixels.shape[0]), *properties
        )

    def link(self, kind: bytes, start: int, *ends: int) -> None:
        """Have an item refer to others."""
        self.links.append((kind, start, list(ends)))

    def build(self, primary: int = 1, *, behind: bytes = b"", brands: bytes = b"") -> bytes:
        """The file."""
        head = box(b"ftyp", self.brand + bytes(4) + b"mif1" + self.brand + brands)
        data = box(b"mdat", b"".join(item[1] for item in self.items))
        start = len(head) + len(self._meta(primary, 0)) + 8
        return head + self._meta(primary, start) + data + behind

    def _meta(self, primary: int, start: int) -> bytes:
        infos, places, shared, chosen = b"", b"", b"", b""
        count = 0
        for number, (kind, data, properties, content) in enumerate(self.items, 1):
            text = b"\0" + (content + b"\0" if content else b"")
            infos += full(b"infe", struct.pack(">HH4s", number, 0, kind) + text, version=2)
            places += struct.pack(">HHHII", number, 0, 1, start, len(data))
            start += len(data)
            shared += b"".join(properties)
            essential = [
                0 if prop[4:8] in (b"ispe", b"pixi", b"colr", b"auxC") else 0x80 for prop in properties
            ]
            indices = bytes(mark | count + 1 + i for i, mark in enumerate(essential))
            chosen += struct.pack(">HB", number, len(indices)) + indices
            count += len(properties)
        n = struct.pack(">H", len(self.items))
        parts = (
            full(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + full(b"pitm", struct.pack(">H", primary))
            + full(b"iinf", n + infos)
        )
        parts += full(b"iloc", b"\x44\0" + n + places)
        table = full(b"ipma", struct.pack(">I", len(self.items)) + chosen)
        parts += box(b"iprp", box(b"ipco", shared) + table)
        links = b""
        for kind, at, ends in self.links:
            links += box(kind, struct.pack(f">HH{len(ends)}H", at, len(ends), *ends))
        parts += full(b"iref", links) if links else b""
        return full(b"meta", parts)
