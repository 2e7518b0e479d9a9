"""What is written beside a photo's pixels, whatever the file's kind, and what of it may be kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Metadata", "MetadataPolicy", "Removal", "holds_picture"]

MetadataPolicy = Literal["keep", "strip"]

# How pictures begin. A longer mark for JPEG than its two bytes, since those come about by chance.
_MAGIC = re.compile(
    rb"\xff\xd8\xff[\xc0-\xcf\xdb\xdd\xe0-\xef\xfe]|\x89PNG\r\n|RIFF....WEBP|ftyp(?:hei|avi|mif|isom|mp4|qt)"
    rb"|GIF8[79]a|/9j/[2-4]|iVBORw0KGgo|UklGR",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that was in the source and is not in the output, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """What every kind of file can carry: EXIF (from its TIFF header on), XMP, the ICC profile."""

    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None


def holds_picture(raw: bytes) -> bool:
    r"""True if a picture begins somewhere in these bytes, as it is or in base64.

    >>> holds_picture(b"plain text"), holds_picture(b"..\x89PNG\r\n..")
    (False, True)
    """
    return _MAGIC.search(raw) is not None
