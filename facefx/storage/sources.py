"""From what a user names (folders, globs, lists, URLs) to the files that are meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from facefx.storage.options import StorageOptions

__all__ = ["PHOTO_SUFFIXES", "VIDEO_SUFFIXES", "SourceEntry", "find_sources"]

VIDEO_SUFFIXES = frozenset(
    [
        ".3gp",
        ".asf",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
    ]
)
PHOTO_SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A file to work on. relative: its safe and unique path below what the user named."""

    url: str
    relative: str
    size_bytes: int
    version: str


def find_sources(
    specs: Sequence[str],
    options: StorageOptions | None = None,
    suffixes: Collection[str] = VIDEO_SUFFIXES,
    *,
    exclude: Sequence[str] = (),
) -> list[SourceEntry]:
    """All files that the specs mean, sorted by relative path, none twice."""
    raise NotImplementedError
