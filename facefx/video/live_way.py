"""The ways to a live source; each opens a container for reading, and lets go from any thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import av
import av.error

from facefx.errors import FacefxError, SourceError
from facefx.video.guard import Limits, open_source
from facefx.video.hls_reader import HlsReader
from facefx.video.live_key import KeyCheck
from facefx.video.live_net import Pipe, connect, hang_up
from facefx.video.live_rules import Place, SourceRules

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["FileWay", "HlsWay", "ListenWay", "RtmpWay", "Way", "live_errors"]

# Found by trying: less, and the sound is missing, or the first key frame is lost with what was read to
# look at it; FFmpeg's own five seconds come out as five seconds of delay.
_PROBING = {"analyzeduration": "1000000", "probesize": "1000000", "fpsprobesize": "0"}
_RTMP = _PROBING | {
    "protocol_whitelist": "rtmp,tcp",
    "format_whitelist": "flv,live_flv",
    "flags": "low_delay",
    "rtmp_live": "live",
    "rtmp_buffer": "100",
    "tcp_nodelay": "1",
}


_ONLY_BYTES = {"format_whitelist": "mpegts,mov", "protocol_whitelist": "none"}


class Way(Protocol):
    """How a source is reached. bursts: packets come many at once."""

    bursts: bool

    @property
    def ends(self) -> bool:
        """True where it may end by itself."""

    def open(self, limits: Limits) -> InputContainer:
        """Open for reading."""

    def close(self) -> None:
        """Hang up; whoever reads comes back at once. From any thread."""


@contextmanager
def live_errors(label: str, doing: str) -> Iterator[None]:
    """Turn what av and the operating system raise into a SourceError that names no key."""
    try:
        yield
    except FacefxError:
        raise
    except (av.error.TimeoutError, av.error.ExitError, TimeoutError) as error:
        raise SourceError(f"{label}: {doing}: nothing came in time; open it again") from error
    except av.error.PermissionError as error:
        raise SourceError(f"{label}: {doing}: nobody publishes this stream now; try again later") from error
    except (av.error.FFmpegError, OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SourceError(f"{label}: {doing} failed: {reason}; open it again") from error


class FileWay:
    """A file of this machine, through the guarded opening of all files."""

    bursts = True
    ends = True

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self, limits: Limits) -> InputContainer:
        """Open the file."""
        return open_source(self._path, limits)

    def close(self) -> None:
        """Nothing waits on a file."""


class RtmpWay:
    """An RTMP server, by FFmpeg's own client.

    FFmpeg is given a door of this process; what comes in there is carried to the address that was checked,
    by TLS for rtmps.
    """

    bursts = False
    ends = False

    def __init__(self, place: Place, rules: SourceRules) -> None:
        self._place, self._rules = place, rules
        self._door: socket.socket | None = None
        self._far: socket.socket | None = None
        self._pipe: Pipe | None = None

    def open(self, limits: Limits) -> InputContainer:
        """Connect, and play the stream."""
        far = self._far = connect(self._place, self._rules, limits.open_timeout_s)
        door = self._door = socket.create_server(("127.0.0.1", 0), backlog=1)
        threading.Thread(target=self._let_in, args=(door, far), name="rtmp-door", daemon=True).start()
        app = self._place.path.strip("/").rpartition("/")[0]
        options = _RTMP | _pixels(limits) | {"rtmp_tcurl": f"rtmp://{self._place.netloc}/{app}"}
        url = f"rtmp://127.0.0.1:{door.getsockname()[1]}{self._place.path}"
        return av.open(url, options=options, timeout=(limits.open_timeout_s, limits.read_timeout_s))

    def close(self) -> None:
        """Hang up."""
        hang_up(self._door, self._far)
        if self._pipe is not None:
            self._pipe.close()

    def _let_in(self, door: socket.socket, far: socket.socket) -> None:
        """Take FFmpeg's one connection; the door is shut behind it."""
        with suppress(OSError):
            near, _ = door.accept()
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pipe = Pipe(near, far)
        hang_up(door)


class ListenWay:
    """One publisher who comes to us, by FFmpeg's own RTMP server behind a door that asks for the key."""

    bursts = False
    ends = False

    def __init__(self, place: Place) -> None:
        self._place = place
        self._door: socket.socket | None = None
        self._inner = 0
        self._pipe: Pipe | None = None
        self._closed = False

    def open(self, limits: Limits) -> InputContainer:
        """Wait for the publisher, as long as limits.open_timeout_s; wrong keys do not end the waiting."""
        end = time.monotonic() + limits.open_timeout_s
        self._door = socket.create_server((self._place.host, self._place.port), backlog=4)
        try:
            while True:
                check = KeyCheck(self._place.path)
                try:
                    return self._try(check, limits, max(0.1, end - time.monotonic()))
                except (av.error.FFmpegError, OSError):
                    # Whoever looks in without the key, or hangs up, has not been the one.
                    if check.passed or not check.visited or self._closed or time.monotonic() >= end:
                        raise
        finally:
            hang_up(self._door)

    def close(self) -> None:
        """Hang up; an opening that still waits is ended by a visitor who says nothing."""
        self._closed = True
        hang_up(self._door)
        if self._pipe is not None:
            self._pipe.close()
        elif self._inner:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self._inner), timeout=1).close()

    def _try(self, check: KeyCheck, limits: Limits, timeout_s: float) -> InputContainer:
        """Let one publisher in: FFmpeg takes one connection only."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._inner = int(free.getsockname()[1])
        threading.Thread(target=self._serve, args=(check,), name="rtmp-listen", daemon=True).start()
        options = _RTMP | _pixels(limits) | {"listen": "1"}
        url = f"rtmp://127.0.0.1:{self._inner}{self._place.path}"
        return av.open(url, options=options, timeout=(timeout_s, limits.read_timeout_s))

    def _serve(self, check: KeyCheck) -> None:
        with suppress(OSError):
            assert self._door is not None
            near, _ = self._door.accept()
            check.visited = True
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pipe = Pipe(near, self._reach(), check.hears)

    def _reach(self) -> socket.socket:
        """Connect to FFmpeg's server, which listens from a moment after it was told to."""
        waiting = threading.Event()
        for _ in range(200):
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", self._inner), timeout=2)
            waiting.wait(0.01)
        raise OSError("the server inside does not listen")


class HlsWay:
    """An HLS playlist, fetched by ourselves; FFmpeg sees bytes and knows no address."""

    bursts = True

    def __init__(self, url: str, rules: SourceRules) -> None:
        self._url, self._rules = url, rules
        self._reader: HlsReader | None = None

    @property
    def ends(self) -> bool:
        """True for a playlist that is complete."""
        return self._reader is not None and self._reader.complete

    @property
    def error(self) -> FacefxError | None:
        """Why the bytes ended, where they did not end by themselves."""
        return self._reader.error if self._reader is not None else None

    def open(self, limits: Limits) -> InputContainer:
        """Fetch the playlist and the start of its newest segment."""
        self._reader = reader = HlsReader(
            self._url, self._rules, limits.open_timeout_s, limits.read_timeout_s
        )
        reader.begin()
        options = (
            _PROBING | _pixels(limits) | {"format_whitelist": "mpegts,mov", "protocol_whitelist": "none"}
        )
        return av.open(reader, "r", format=reader.demuxer, options=options, buffer_size=1 << 16)

    def close(self) -> None:
        """Hang up."""
        if self._reader is not None:
            self._reader.close()


def _pixels(limits: Limits) -> dict[str, str]:
    return {"max_pixels": str(limits.max_pixels), "max_streams": str(limits.max_streams)}
