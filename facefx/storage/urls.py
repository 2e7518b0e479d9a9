"""What a URL names: paths and places, and how an address is shown without its secrets."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

from facefx.errors import UsageError

__all__ = [
    "is_device",
    "is_local",
    "joined",
    "local_path",
    "name_of",
    "real_path",
    "safe_relative",
    "same_place",
    "scheme_of",
    "sha256_file",
    "shown",
]

_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
# A password with a slash in it is no good URL, and still a password. Keys of objects may hold an @.
_USERINFO = re.compile(r"(?i)\b(s3a?|memory|file|gs)(://)[^/@\s]*@|\b([a-z][a-z0-9+.-]+)(://)\S*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUERY = re.compile(r"(?i)(https?://[^\s?]*)\?[^\s'\"]+")


def is_local(url: str) -> bool:
    """True for a plain path and for file://.

    >>> is_local("a/b.mp4"), is_local("file:///a.mp4"), is_local("s3://bucket/a.mp4")
    (True, True, False)
    """
    return url.startswith("file://") or not _URL.match(url)


def scheme_of(url: str) -> str:
    """The kind of storage, in lower case; "file" for a plain path.

    >>> scheme_of("S3://bucket/a.mp4"), scheme_of("a.mp4")
    ('s3', 'file')
    """
    match = _URL.match(url)
    return match[1].lower() if match else "file"


def local_path(url: str) -> Path:
    """The path behind a local URL."""
    return Path(url.removeprefix("file://")).expanduser()


def real_path(path: Path) -> Path:
    """A path with all links followed; of links that lead round in a circle, as far as that goes."""
    return Path(os.path.realpath(path))


def is_device(path: Path) -> bool:
    """True for what exists and is neither a file nor a folder, such as /dev/stdout or a pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def same_place(a: str, b: str) -> bool:
    """True if both name the same file, also through links and hard links."""
    if is_local(a) != is_local(b):
        return False
    if not is_local(a):
        return a.rstrip("/") == b.rstrip("/")
    first, second = local_path(a), local_path(b)
    if first.exists() and second.exists():
        return first.samefile(second)
    return real_path(first) == real_path(second)


def sha256_file(path: Path) -> str:
    """Hex sha256 of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shown(text: str) -> str:
    """An address, or a text with addresses in it, as people and logs may see it.

    User names, passwords and the queries of web addresses (signatures, tokens) are left out; it is one line.

    >>> shown("ftp://me:secret@host/a.mp4"), shown("https://host/a.mp4?X-Amz-Signature=00")
    ('ftp://***@host/a.mp4', 'https://host/a.mp4?***')
    """
    text = _CONTROL.sub("?", text)
    return _QUERY.sub(r"\1?***", _USERINFO.sub(r"\1\2\3\4***@", text))


def name_of(url: str) -> str:
    """The last part of a URL's path, fit to be a file's name here; "source" where it has none.

    >>> name_of("https://host/a/b.mp4?token=1"), name_of("s3://bucket/")
    ('b.mp4', 'source')
    """
    rest = _URL.sub("", url)
    if scheme_of(url) in {"http", "https"}:
        rest = rest.partition("?")[0].partition("#")[0]
    name = rest.rpartition("/")[2].replace("\0", "")
    return name if name not in {"", ".", ".."} else "source"


def safe_relative(relative: str) -> str:
    """A relative path without ".", ".." or empty parts; "" for the root itself.

    Raises UsageError where it would lead outside.

    >>> safe_relative("./a//b.mp4")
    'a/b.mp4'
    """
    parts = [part for part in relative.split("/") if part not in {"", "."}]
    if relative.startswith("/") or ".." in parts or "\0" in relative:
        raise UsageError(f"{relative!r}: leads outside of its folder; expected a relative path without '..'")
    return str(PurePosixPath(*parts)) if parts else ""


def joined(root: str, relative: str) -> str:
    """The URL of a relative path below a root.

    >>> joined("s3://bucket/dst/", "a/b.mp4"), joined("dst", "")
    ('s3://bucket/dst/a/b.mp4', 'dst')
    """
    rel = safe_relative(relative)
    if root.endswith("://"):
        return root + rel
    base = root.rstrip("/")
    return f"{base}/{rel}" if rel else base or "/"
