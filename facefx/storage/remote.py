"""Files wherever else fsspec leads: memory://, http://, sftp://, gs:// and so on."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from facefx.errors import FacefxError, UsageError
from facefx.storage.backend import (
    Exclusive,
    Found,
    SweepReport,
    Unavailable,
    fetching,
    is_temporary,
    owner_of,
    settled,
    storing,
    temporary_name,
)
from facefx.storage.local import changed, refused, whole
from facefx.storage.options import StorageOptions
from facefx.storage.urls import scheme_of, sha256_file, shown

__all__ = ["RemoteBackend"]

T = TypeVar("T")

# Where a put is one request that shows the object at its end; elsewhere a file grows under its name.
_OBJECTS = {"memory", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci"}
# What our own disk answers, and no storage elsewhere.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# A question that is not answered is asked again for so long.
UNREACHABLE_S = 8.0
_WEB = {"http", "https"}
_MARKS = (
    "etag",
    "ETag",
    "md5Hash",
    "mtime",
    "LastModified",
    "last_modified",
    "modified",
    "updated",
    "created",
)


class RemoteBackend:
    """Files of one scheme, through a file system object of our own: nothing is shared or cached.

    Raises UsageError if fsspec does not know the scheme.
    """

    def __init__(self, url: str, options: StorageOptions, owner: str = "") -> None:
        self._url, self._options, self._owner = url, options, owner
        self._scheme = scheme_of(url)
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None
        import fsspec

        try:
            fsspec.get_filesystem_class(self._scheme)
        except (ValueError, ImportError) as error:
            raise UsageError(
                f"{shown(url)}: no storage for this kind of URL ({error}); use a path, file:// or s3://"
            ) from error

    def exclusive(self, url: str) -> Exclusive:
        """Memory excludes others by itself; of the rest we cannot know."""
        return "atomic" if self._scheme == "memory" else "settled"

    def read(self, url: str) -> bytes:
        """The whole of a file."""
        with fetching(url):
            return bytes(self._tried(lambda fs: fs.cat_file(self._inner(fs, url))))

    def read_range(self, url: str, start: int, stop: int) -> bytes:
        """The bytes of a file from start up to stop."""
        with fetching(url):
            return bytes(self._tried(lambda fs: fs.cat_file(self._inner(fs, url), start, stop)))

    def write(self, url: str, data: bytes) -> None:
        """Put a whole file in place of what stood there."""
        with storing(url):
            self._placed(url, lambda fs, inner: fs.pipe_file(inner, data), len(data))

    def create(self, url: str, data: bytes) -> bool:
        """Put a whole file if none is there."""
        with storing(url):
            if self.exclusive(url) == "atomic":
                with self._named():
                    fs = self._fs()
                    try:
                        fs.pipe_file(self._inner(fs, url), data, mode="create")
                    except FileExistsError:
                        return False
                    return True
            return settled(
                lambda: self._info(url) is not None,
                lambda: self._placed(url, lambda fs, inner: fs.pipe_file(inner, data), len(data)),
                lambda: bytes(self._tried(lambda fs: fs.cat_file(self._inner(fs, url)))) == data,
            )

    def put(self, url: str, path: Path) -> None:
        """Copy a local file there."""
        with storing(url):
            try:
                size = path.stat().st_size
            except OSError as error:
                raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
            self._placed(url, lambda fs, inner: fs.put_file(str(path), inner), size)

    def get(self, url: str, path: Path, version: str | None = None) -> str:
        """Copy a file to a local path."""
        with fetching(url):
            before = self._info(url)
            if before is None:
                raise Unavailable("is not there; check the address")
            if version and before.version != version:
                raise changed(url, version, before.version)
            try:
                with whole(path) as part:
                    self._tried(lambda fs: fs.get_file(self._inner(fs, url), str(part)), local=part)
                    after = self._info(url)
                    if after is None or after.version != before.version:
                        raise changed(
                            shown(url), before.version, after.version if after else "none: it is gone"
                        )
            except OSError as error:
                raise refused(str(path), error) from error
        return sha256_file(path)

    def stat(self, url: str) -> Found | None:
        """What is known of a file; a folder is none."""
        with fetching(url):
            return self._info(url)

    def list(self, url: str) -> Iterator[Found]:
        """All files whose URL begins with this one."""
        yield from (item for item in self._walk(url) if not is_temporary(item.url))

    def remove(self, urls: Sequence[str]) -> None:
        """Remove files."""
        for url in urls:
            with storing(url):
                self._removed(url)

    def sweep(self, url: str, older_than_s: float, owner: str | None) -> SweepReport:
        """Remove temporary files of ours."""
        files = size = 0
        for item in self._walk(url):
            whose = owner_of(item.url.rpartition("/")[2])
            old = time.time() - item.modified_s >= older_than_s
            if whose is not None and (old or (owner and whose == owner)):
                self.remove([item.url])
                files, size = files + 1, size + item.size_bytes
        return SweepReport(files, size)

    def _fs(self) -> Any:
        """A file system of this process: their threads and connections do not survive a fork."""
        import fsspec

        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                more: dict[str, Any] = {}
                if self._scheme in _WEB:
                    more["client_kwargs"] = {"timeout": _patience(self._options)}
                fs, _ = fsspec.core.url_to_fs(
                    self._url, skip_instance_cache=True, use_listings_cache=False, **more
                )
                self._made = (os.getpid(), fs)
            return self._made[1]

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What foreign code raises, as a reason without secrets; each scheme has exceptions of its own."""
        try:
            yield
        except (FacefxError, Unavailable):
            raise
        except FileNotFoundError as error:
            # Of a web server, fsspec takes a refusal and a closed port for a missing file as well.
            cause = error.__cause__ if self._scheme in _WEB else None
            if cause is not None and _status(cause) not in {404, 410}:
                raise self._foreign(cause) from cause
            raise Unavailable("is not there; check the address") from error
        except PermissionError as error:
            raise Unavailable("access is denied; check the credentials and what they may do") from error
        except Exception as error:
            raise self._foreign(error) from error

    def _foreign(self, error: BaseException) -> Unavailable:
        """The reason that an error of foreign code gives."""
        said = str(error).splitlines()
        # Of an address with a password in it, any piece may be quoted.
        open_said = said and shown(self._url) == self._url
        reason = f"{type(error).__name__}: {shown(said[0])}" if open_said else type(error).__name__
        return Unavailable(f"{reason[:200]}; check the address and credentials")

    def _inner(self, fs: Any, url: str) -> str:
        return str(fs._strip_protocol(url))

    def _tried(self, step: Callable[[Any], T], local: Path | None = None) -> T:
        """Carry out a step, again where another try may help. local: where its bytes go on this disk."""
        tries, started = 0, time.monotonic()
        while True:
            tries += 1
            try:
                with self._named():
                    return step(self._fs())
            except Unavailable as error:
                cause = error.__cause__
                if local is not None and isinstance(cause, OSError) and cause.errno in _DISK:
                    raise cause from None
                final = FileNotFoundError | PermissionError | NotImplementedError | ValueError
                hopeless = isinstance(cause, final) or 400 <= _status(cause) < 500
                # An address where nobody answers is not asked for ever; a long download may break off.
                late = local is None and time.monotonic() - started > UNREACHABLE_S
                if hopeless or late or tries > self._options.retries:
                    raise
            time.sleep(min(3.0, 0.1 * 2 ** (tries - 1)))

    def _info(self, url: str) -> Found | None:
        try:
            info = self._tried(lambda fs: fs.info(self._inner(fs, url)))
        except Unavailable as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return None
            raise
        return None if info.get("type") == "directory" else _found(url, info)

    def _placed(self, url: str, place: Callable[[Any, str], object], size: int) -> None:
        """Write whole: where a file grows under its name, under another one that is then changed."""
        target = url
        if self._scheme not in _OBJECTS:
            folder, _, name = url.rpartition("/")
            target = f"{folder}/{temporary_name(name, self._owner)}"
        try:
            self._tried(lambda fs: self._filled(fs, target, place))
            got = self._info(target)
            if got is None or got.size_bytes != size:
                raise Unavailable(
                    f"arrived with {got.size_bytes if got else 'no'} bytes, expected {size}; try again"
                )
            if target != url:
                with self._named():
                    fs = self._fs()
                    fs.mv(self._inner(fs, target), self._inner(fs, url))
        except BaseException:
            if target != url:
                with suppress(Unavailable):
                    self._removed(target)
            raise

    def _filled(self, fs: Any, target: str, place: Callable[[Any, str], object]) -> None:
        inner = self._inner(fs, target)
        # Some make folders as they are needed, some know none, and some want them made.
        with suppress(NotImplementedError, FileExistsError):
            fs.makedirs(inner.rpartition("/")[0], exist_ok=True)
        place(fs, inner)

    def _removed(self, url: str) -> None:
        try:
            self._tried(lambda fs: fs.rm_file(self._inner(fs, url)))
        except Unavailable as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise

    def _walk(self, url: str) -> Iterator[Found]:
        scheme, _, rest = url.partition("://")
        top = f"{scheme}://{rest.rpartition('/')[0]}"
        with fetching(url):
            try:
                infos = self._tried(lambda fs: fs.find(self._inner(fs, top), detail=True))
            except Unavailable as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                return
            fs = self._fs()
            start = self._inner(fs, url.rstrip("/")) + ("/" if url.endswith("/") else "") if rest else ""
        lead = url[: len(url) - len(start)] if url.endswith(start) else None
        for inner in sorted(infos):
            if inner.startswith(start):
                place = fs.unstrip_protocol(inner) if lead is None else lead + inner
                # Lists of some tell less of a file than it tells when asked, and versions must be the same.
                entry = _found(place, infos[inner]) if self._scheme in _OBJECTS else self._info(place)
                if entry is not None:
                    yield entry


def _status(error: BaseException | None) -> int:
    """What a web server answered; 404 for what fsspec found missing by itself, 0 for no answer."""
    return 404 if isinstance(error, FileNotFoundError) else int(getattr(error, "status", 0) or 0)


def _patience(options: StorageOptions) -> Any:
    import aiohttp

    return aiohttp.ClientTimeout(
        total=None, sock_connect=options.connect_timeout_s, sock_read=options.read_timeout_s
    )


def _found(url: str, info: dict[str, Any]) -> Found:
    size = int(info.get("size") or 0)
    told = {name: info[name] for name in _MARKS if info.get(name)}
    plain = {name: when.timestamp() if isinstance(when, datetime) else when for name, when in told.items()}
    mark = str(next(iter(plain.values()), "")).replace("\n", " ")
    modified = next((float(when) for when in plain.values() if isinstance(when, int | float)), 0.0)
    return Found(url, size, f"{size}:{mark}", modified)
