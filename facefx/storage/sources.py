"""From what a user names (folders, globs, lists, URLs) to the files that are meant."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from facefx.errors import SourceError, UsageError
from facefx.storage.backend import Backend, Found, connect
from facefx.storage.options import StorageOptions
from facefx.storage.urls import is_local, local_path, name_of, real_path, scheme_of, shown

__all__ = ["PHOTO_SUFFIXES", "VIDEO_SUFFIXES", "SourceEntry", "find_sources"]

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
    | {".mxf", ".ogv", ".ts", ".webm", ".wmv"}
)
PHOTO_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_MAGIC = re.compile(r"[*?\[]")
# Each named object is asked for once; so many at a time.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A file to work on. url: absolute. relative: its safe and unique path below what the user named.

    version: see storage.Entry; "" where its storage tells nothing.
    """

    url: str = field(repr=False)
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
    """All files that the specs mean, sorted by relative path, none twice.

    A spec is a folder (searched in depth for the suffixes), a glob (`*`, `?`, `[…]`, `**`; the suffixes
    count where its last part names none), one file (whatever its suffix), or @list: a text with one of
    these a line, # for comments, relative ones from the list's own folder; all of them local or URLs.
    Hidden files and folders are left out, our own .facefx among them, and what lies below an exclude (the
    outputs) within a folder or glob. Two sources with one relative path get a mark from their URLs.
    Raises SourceError for a spec that means nothing or cannot be read, UsageError for an unknown scheme.
    """
    search = _Search(options or StorageOptions(), {suffix.lower() for suffix in suffixes}, exclude)
    found: dict[str, SourceEntry] = {}
    for entry in search.all(specs):
        found.setdefault(entry.url, entry)
    return sorted(_unique(found.values()), key=lambda entry: entry.relative)


@dataclass(frozen=True, slots=True)
class _Named:
    """One file that was named as such."""

    url: str
    relative: str


class _Search:
    """One search: the storages it has reached, and what it looks for."""

    def __init__(self, options: StorageOptions, suffixes: set[str], exclude: Sequence[str]) -> None:
        self._options, self._suffixes = options, suffixes
        self._exclude = [_real(url) for url in exclude]
        self._backends: dict[str, Backend] = {}

    def all(self, specs: Sequence[str]) -> Iterator[SourceEntry]:
        """What each spec means. Named files are asked for many at once: a list may hold thousands."""
        named: list[_Named] = []
        for spec in specs:
            for item in self._listed(spec[1:]) if spec.startswith("@") else self._meant(spec, None):
                if isinstance(item, _Named):
                    named.append(item)
                else:
                    yield item
        with ThreadPoolExecutor(_AT_ONCE, "facefx-find") as pool:
            for item, entry in zip(named, pool.map(self._asked, named), strict=True):
                yield _entry(entry, item.relative)

    def _listed(self, url: str) -> Iterator[SourceEntry | _Named]:
        """The lines of a list."""
        try:
            text = self._at(url).read(url).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{shown(url)}: is no list: expected text in UTF-8, one source a line"
            ) from error
        folder = url.rpartition("/")[0]
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise SourceError(f"{shown(url)}: lists nothing; expected one source a line")
        for line in lines:
            if line.startswith("@"):
                raise UsageError(
                    f"{shown(url)}: {line}: a list may not name a list; name both in the command"
                )
            own = is_local(line) and not line.startswith(("/", "~", "file://"))
            yield from self._meant(f"{folder}/{line}" if own and folder else line, line if own else None)

    def _meant(self, spec: str, relative: str | None) -> Iterator[SourceEntry | _Named]:
        """One spec; relative: how its list names it."""
        url = os.path.normpath(local_path(spec).absolute()) if is_local(spec) else spec
        local = is_local(spec)
        if local and local_path(url).is_dir():
            yield from self._below(url.rstrip("/") + "/", spec)
        elif _MAGIC.search(url) and not (local and local_path(url).exists()):
            yield from self._matching(url, spec)
        elif not local and (url.endswith("/") or _is_bucket(url) or self._is_folder(url)):
            yield from self._below(url.rstrip("/") + "/", spec)
        else:
            yield _Named(url, _safe(relative or name_of(url)))

    def _is_folder(self, url: str) -> bool:
        """A remote address without a suffix may be a folder; one with a suffix is not asked for it."""
        if PurePosixPath(name_of(url)).suffix or scheme_of(url) in {"http", "https"}:
            return False
        at = self._at(url)
        return at.stat(url) is None and next(at.list(url + "/"), None) is not None

    def _below(self, root: str, spec: str) -> Iterator[SourceEntry]:
        yield from self._chosen(
            root, root, spec, lambda rest: self._wanted(rest), "no file with a known suffix"
        )

    def _matching(self, url: str, spec: str) -> Iterator[SourceEntry]:
        """A glob: what lies below its last plain folder is listed, from its last plain letter on."""
        match = _MAGIC.search(url)
        assert match is not None
        start = url[: match.start()]
        root = start.rpartition("/")[0] + "/"
        pattern = url[len(root) :]
        fits, named = _pattern(pattern), "." in pattern.rpartition("/")[2]
        shows_hidden = any(part.startswith(".") for part in pattern.split("/"))
        yield from self._chosen(
            root,
            start,
            spec,
            lambda rest: bool(fits.fullmatch(rest)) and (named or self._wanted(rest)),
            "the pattern matches nothing",
            hidden=shows_hidden,
        )

    def _chosen(
        self,
        root: str,
        start: str,
        spec: str,
        wanted: Callable[[str], bool],
        none: str,
        *,
        hidden: bool = False,
    ) -> Iterator[SourceEntry]:
        """Files that begin with start, by their path below the root."""
        outputs = [url + "/" for url in self._exclude if (url + "/") != _real(root) + "/"]
        outputs = [url for url in outputs if not (_real(root) + "/").startswith(url)]
        count = 0
        for item in self._at(root).list(start):
            rest = item.url[len(root) :]
            parts = rest.split("/")
            dotted = {part for part in parts if part.startswith(".")} - {".", ".."}
            unseen = ".facefx" in dotted or (dotted and not hidden)
            if unseen or not wanted(rest) or (outputs and _real(item.url).startswith(tuple(outputs))):
                continue
            count += 1
            yield _entry(item, _safe(rest))
        if not count:
            raise SourceError(f"{shown(spec)}: {none}; check the path, or name other files")

    def _wanted(self, rest: str) -> bool:
        return PurePosixPath(rest).suffix.lower() in self._suffixes

    def _asked(self, item: _Named) -> Found:
        entry = self._at(item.url).stat(item.url)
        if entry is None:
            raise SourceError(f"{shown(item.url)}: is not there; expected a file, a folder, a glob or @list")
        return entry

    def _at(self, url: str) -> Backend:
        """The storage of a URL; one for each scheme and host, since those may differ in credentials."""
        place = "" if is_local(url) else "/".join(url.split("/")[:3])
        if place not in self._backends:
            self._backends[place] = connect(url, self._options)
        return self._backends[place]


def _is_bucket(url: str) -> bool:
    """True for a bucket's own address, which is a folder with or without a slash."""
    return scheme_of(url) in {"s3", "s3a"} and "/" not in url.partition("://")[2]


def _entry(item: Found, relative: str) -> SourceEntry:
    return SourceEntry(item.url, relative, item.size_bytes, item.version)


def _real(url: str) -> str:
    """The same text for the same place, without a slash at the end."""
    return str(real_path(local_path(url))) if is_local(url) else url.rstrip("/")


def _safe(relative: str) -> str:
    """A relative path that leads nowhere else, whatever an object's key may hold."""
    clean = re.sub(r"[\x00-\x1f\x7f]", "_", relative)
    parts = ["__" if part == ".." else part for part in clean.split("/") if part not in {"", "."}]
    return "/".join(parts) or "source"


def _unique(entries: Collection[SourceEntry]) -> Iterator[SourceEntry]:
    """Mark those whose relative path is another's too, letters' case aside, or another's folder."""
    names = Counter(entry.relative.casefold() for entry in entries)
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    for entry in entries:
        folded = entry.relative.casefold()
        if names[folded] > 1 or folded in folders:
            path = PurePosixPath(entry.relative)
            mark = hashlib.sha256(entry.url.encode(errors="surrogateescape")).hexdigest()[:6]
            yield replace(entry, relative=str(path.with_name(f"{path.stem}-{mark}{path.suffix}")))
        else:
            yield entry


def _pattern(glob: str) -> re.Pattern[str]:
    """A glob as an expression: `*` and `?` stay within a folder, `**/` is any number of folders."""
    out, at = "", 0
    while at < len(glob):
        if glob.startswith("**/", at):
            out, at = out + "(?:[^/]+/)*", at + 3
        elif glob.startswith("**", at):
            out, at = out + ".*", at + 2
        elif glob[at] in "*?":
            out, at = out + ("[^/]*" if glob[at] == "*" else "[^/]"), at + 1
        elif glob[at] == "[" and (end := glob.find("]", at + 2)) > 0:
            inner = glob[at + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            out, at = out + "[" + ("^" + inner[1:] if inner[0] == "!" else inner) + "]", end + 1
        else:
            out, at = out + re.escape(glob[at]), at + 1
    return re.compile(out, re.DOTALL)
