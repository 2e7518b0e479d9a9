"""What each output of an archive is called, settled before any work: nothing is ever written over.

A name is made from a template with the fields {dir} (folders below the source root), {stem}, {ext} (the
output's own suffix, with its dot), {name} (stem and ext) and {parent} (the last of the folders).
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

from facefx.errors import ConfigError, UnsupportedError, UsageError
from facefx.storage import is_local, local_path, real_path
from facefx.video.codecs import CONTAINERS, container_of
from facefx.video.still_kinds import STILL_SUFFIXES, writable_suffix

__all__ = ["FIELDS", "STATE_FOLDER", "TEMPLATE", "OutputNames", "Source"]

STATE_FOLDER = ".facefx"
TEMPLATE = "{dir}/{name}"
FIELDS = ("dir", "stem", "ext", "name", "parent")

# Of one name, in bytes of UTF-8 (ext4, APFS, NTFS nearly so), and of a whole key (S3).
_NAME_BYTES, _KEY_BYTES = 255, 1024
_TOLD = 5  # names or problems that a message lists


class Source(Protocol):
    """What is known of a source: its URL, and its name below the source root, with "/" between folders."""

    @property
    def url(self) -> str:
        """Where it lies."""

    @property
    def relative(self) -> str:
        """Its name below the root."""


@dataclass(frozen=True, slots=True)
class OutputNames:
    """Gives every source its output's name below `target`, or refuses the lot, saying which and why.

    container: "auto" keeps a video's kind where it can be written and takes .mkv otherwise, "keep" refuses
    what cannot be written, a suffix such as "mp4" is given to every video. Photos keep their kind.
    reserved: names at the top of the target that are not for outputs.

    Raises ConfigError for a template or a container that cannot be right.
    """

    target: str
    template: str = TEMPLATE
    container: str = "auto"
    reserved: tuple[str, ...] = (STATE_FOLDER,)
    _parts: tuple[tuple[str, str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "container", self.container.lower().lstrip("."))
        if self.container not in ("auto", "keep", *CONTAINERS):
            known = ", ".join(CONTAINERS)
            raise ConfigError(f"--container {self.container!r}: expected auto, keep or one of {known}")
        object.__setattr__(self, "_parts", tuple(_parsed(self.template)))

    def name(self, relative: str) -> str:
        """The relative output of one source.

        Raises UnsupportedError where its kind cannot be written, UsageError where the name cannot be used.

        >>> OutputNames("out", "{parent}-{stem}{ext}").name("day/a.avi")
        'day-a.mkv'
        """
        source = PurePosixPath(relative)
        stem, ext = self._stem_and_ext(source)
        folder = "" if source.parent == PurePosixPath() else str(source.parent)
        values = {"dir": folder, "stem": stem, "ext": ext, "name": stem + ext, "parent": source.parent.name}
        filled = "".join(literal + (values[name] if name else "") for literal, name in self._parts)
        output = "/".join(part for part in filled.split("/") if part not in ("", "."))
        self._check(relative, output)
        return output

    def assign(self, sources: Iterable[Source]) -> list[str]:
        """The relative output of each source, in order.

        Raises UsageError that lists what is wrong with any of them: a name that cannot be used, one that
        two would have, one that is or lies in an input, outside of the target or in the state folder.
        """
        listed = list(sources)
        problems: list[str] = []
        names: list[str] = []
        for source in listed:
            try:
                names.append(self.name(source.relative))
            except (UsageError, UnsupportedError) as error:
                problems.append(str(error))
                names.append("")
        problems += _clashes(listed, names)
        problems += _Places(self.target).problems(listed, names)
        if problems:
            more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
            raise UsageError(f"{self.target}: {'; '.join(problems[:_TOLD])}{more}; choose another --template")
        return names

    def _stem_and_ext(self, source: PurePosixPath) -> tuple[str, str]:
        if source.suffix.lower() in STILL_SUFFIXES:
            # As a folder of photos is named: what cannot be written becomes a JPEG beside its own suffix.
            kept = writable_suffix(source.suffix)
            return (source.stem, source.suffix) if kept else (source.name, ".jpg")
        if self.container not in ("auto", "keep"):
            return source.stem, f".{self.container}"
        try:
            container_of(source.name)
        except UnsupportedError as error:
            if self.container == "keep":
                raise UnsupportedError(f"{source}: {error}; or let --container be auto") from error
            return source.stem, ".mkv"
        return source.stem, source.suffix

    def _check(self, relative: str, output: str) -> None:
        """Refuse what is no name of a file, anywhere."""
        shown = output.encode("utf-8", "backslashreplace").decode()
        parts = output.split("/")
        if not output or ".." in parts:
            raise UsageError(f"{relative}: its output would be {shown!r}, outside of the target")
        wrong = {unicodedata.category(char) for char in output} & {"Cc", "Cs", "Zl", "Zp"}
        if wrong:
            raise UsageError(f"{relative!a}: its output's name {output!a} holds control characters")
        sizes = [len(part.encode()) for part in parts]
        if max(sizes) > _NAME_BYTES or len(output.encode()) > _KEY_BYTES:
            raise UsageError(
                f"{relative}: its output's name is too long: expected at most {_NAME_BYTES} bytes each and "
                f"{_KEY_BYTES} in all, got {max(sizes)} and {len(output.encode())}"
            )
        if _folded(parts[0]) in {_folded(name) for name in self.reserved}:
            raise UsageError(
                f"{relative}: its output would be {shown}, where the archive keeps its own files"
            )


def _parsed(template: str) -> Iterator[tuple[str, str]]:
    """Split a template into (literal, field); raises ConfigError."""
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(f"--template {template!r}: {error}; expected text with {known}") from error
    names = [name for _, name, _, _ in parts if name is not None]
    wrong = [name for name in names if name not in FIELDS]
    if wrong or any(spec or conversion for _, _, spec, conversion in parts):
        raise ConfigError(
            f"--template {template!r}: expected plain fields of {known}, got {wrong or 'a format'}"
        )
    if template.startswith("/") or ".." in template.split("/"):
        raise ConfigError(
            f"--template {template!r}: expected a name below the target, without .. or a leading /"
        )
    if not names or parts[-1][1] not in ("ext", "name"):
        raise ConfigError(f"--template {template!r}: expected {{ext}} or {{name}} at its end")
    return ((literal, name or "") for literal, name, _, _ in parts)


def _folded(name: str) -> str:
    """What two names share that a case-insensitive or normalising file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _clashes(sources: Sequence[Source], names: Sequence[str]) -> Iterator[str]:
    """Names that two sources would have, and names that are another's folder."""
    owners: dict[str, list[str]] = {}
    for source, name in zip(sources, names, strict=True):
        if name:
            owners.setdefault(_folded(name), []).append(source.relative)
    for source, name in zip(sources, names, strict=True):
        same = owners.get(_folded(name), []) if name else []
        if len(same) > 1 and same[0] == source.relative:
            listed = ", ".join(same[:_TOLD]) + (" …" if len(same) > _TOLD else "")
            yield f"{name} would be the output of {len(same)} sources: {listed}"
            owners[_folded(name)] = same[:1]
        for folder in _folders(name):
            if _folded(folder) in owners:
                yield f"{name} (of {source.relative}) would need a folder where another output is"


def _folders(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:i]) for i in range(1, len(parts)))


class _Places:
    """Where names lead, through links: a target may hold links, and may be a link to the sources."""

    def __init__(self, target: str) -> None:
        self._local = is_local(target)
        self._target = target.rstrip("/")
        self._root = real_path(local_path(target)) if self._local else None
        self._folders: dict[str, str] = {}

    def problems(self, sources: Sequence[Source], names: Sequence[str]) -> Iterator[str]:
        """Say which outputs would replace an input or leave the target."""
        inputs = {place: source.relative for source in sources for place in self._places_of(source.url)}
        for source, name in zip(sources, names, strict=True):
            if not name:
                continue
            place = self._place(name)
            if self._root is not None and not place.startswith(f"{str(self._root).rstrip('/')}/"):
                yield f"{source.relative}: its output {name} would lie outside of the target, in {place}"
            if _folded(place) in inputs:
                yield (
                    f"{source.relative}: its output would be {place}, which is the input "
                    f"{inputs[_folded(place)]}"
                )

    def _places_of(self, url: str) -> Iterator[str]:
        """A source's own place, and the one behind it if it is a link."""
        if is_local(url) != self._local:
            return
        if not self._local:
            yield _folded(url)
            return
        path = local_path(url)
        yield _folded(self._real_folder(str(path.parent)) + "/" + path.name)
        yield _folded(str(real_path(path)))

    def _place(self, name: str) -> str:
        if not self._local:
            return f"{self._target}/{name}"
        folder, _, last = str(local_path(f"{self._target}/{name}")).rpartition("/")
        return f"{self._real_folder(folder)}/{last}"

    def _real_folder(self, folder: str) -> str:
        """A folder with its links followed; asked once, since an archive has few folders for many files."""
        if folder not in self._folders:
            self._folders[folder] = str(real_path(local_path(folder or "/")))
        return self._folders[folder].rstrip("/")
