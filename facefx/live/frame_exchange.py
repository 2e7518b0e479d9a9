"""One client's conversation about its frames, whatever carries it: credits both ways, limits, and its end.

A client sends Open, then frames, updates and credits. The server grants a window: so many frames may be
without a result at any time, and one more ends the conversation. The client may grant credits too: a result
leaves only against one then. So neither side ever holds more than it said, however slow the other one is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from facefx.errors import FacefxError, ResourcesError, SourceError, UsageError
from facefx.live.frame_service import FrameService, OpenSession
from facefx.live.frames import FrameResult, FrameSettings

__all__ = [
    "Ask", "Credit", "Ended", "Exchange", "ExchangeRules", "Frame", "Open", "Opened", "Reason", "Reply",
    "Result", "Update", "Updated",
]  # fmt: skip

_log = logging.getLogger("facefx.live")

Reason = Literal[
    "unauthenticated", "invalid", "overrun", "too_large", "deadline", "no_room", "draining", "internal"
]
T = TypeVar("T")

_MOST_CREDITS = 1024
_MOST_UPDATES = 4


class Ended(FacefxError):
    """The conversation cannot go on; reason: for the carrier's own code."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class ExchangeRules:
    """What is granted to one client.

    window: frames without a result. max_bytes: of a frame as it comes. open_s: until Open has come. idle_s:
    longest silence while nothing is under work. longest_s: of a whole conversation.
    """

    window: int = 2
    max_bytes: int = 4 << 20
    open_s: float = 5.0
    idle_s: float = 30.0
    longest_s: float = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Open:
    """The first that a client says. credits: results it is ready to take; 0: those of all that it sends."""

    settings: FrameSettings
    credits: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One coded frame. number: the client's own, comes back with its result. credits: further results."""

    number: int
    pts: int
    data: bytes
    key_frame: bool = False
    credits: int = 0


@dataclass(frozen=True, slots=True)
class Update:
    """Another chain, from the next frame on; select: which faces."""

    number: int
    effects: tuple[str | dict[str, dict[str, Any]], ...]
    select: str = "all"


@dataclass(frozen=True, slots=True)
class Credit:
    """The client is ready to take so many results more."""

    credits: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is ready: what is granted."""

    window: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a frame; it gives the credit for another one back."""

    number: int
    result: FrameResult


@dataclass(frozen=True, slots=True)
class Updated:
    """An update acts from the next frame on; refused: why it does not, and the chain is as it was."""

    number: int
    refused: str = ""


Ask = Open | Frame | Update | Credit
Reply = Opened | Result | Updated
_Pending = tuple[Frame | Update, Future[Any]]


class Exchange:
    """Runs one conversation to its end.

    receive: gives what the client says next, None when it has said all; raises Ended for what it cannot read.
    send: hands a reply to the carrier, and returns when that has taken it. drain: once set, no frame is
    accepted any more; what is in flight is finished, and the client told to connect again.
    """

    def __init__(
        self,
        service: FrameService,
        rules: ExchangeRules,
        receive: Callable[[], Awaitable[Ask | None]],
        send: Callable[[Reply], Awaitable[None]],
        drain: asyncio.Event | None = None,
    ) -> None:
        self._service, self._rules = service, rules
        self._receive, self._send = receive, send
        self._drain = drain or asyncio.Event()
        self._pending: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._credits = 0
        self._counted = False
        self._granted = asyncio.Event()
        self._heard = time.monotonic()
        self._working = False
        self._updates = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.in_flight = 0
        self.most_in_flight = 0

    async def run(self) -> None:
        """Converse until the client has said all and has all results.

        Raises Ended with the reason otherwise. The session's place is free afterwards, however it ends.
        """
        if self._drain.is_set():
            raise Ended("draining", "the server is going away; connect again")
        first = await self._first()
        session = self._place(first.settings)
        try:
            await self._ready(session)
            self._counted = first.credits > 0
            if self._counted:
                self._grant(first.credits)
            await self._send(Opened(self._rules.window, self._rules.max_bytes))
            await self._converse(session)
        finally:
            session.close()

    async def _first(self) -> Open:
        try:
            first = await asyncio.wait_for(self._receive(), self._rules.open_s)
        except TimeoutError as error:
            raise Ended("deadline", f"no Open within {self._rules.open_s:g} s; send it first") from error
        if not isinstance(first, Open):
            raise Ended("invalid", "expected Open as the first message")
        return first

    def _place(self, settings: FrameSettings) -> OpenSession:
        try:
            return self._service.open(settings)
        except ResourcesError as error:
            raise Ended("no_room", str(error)) from error

    async def _ready(self, session: OpenSession) -> None:
        try:
            await asyncio.wrap_future(session.ready)
        except Exception as error:
            told = isinstance(error, UsageError | SourceError)
            if not told:
                _log.error("a session of frames cannot begin: %s", _line(error))
            raise Ended(
                "invalid" if told else "internal", _line(error) if told else "it cannot begin"
            ) from error

    async def _converse(self, session: OpenSession) -> None:
        """Listen, answer and keep time until the listener and the answerer are through."""
        listener = asyncio.create_task(self._listen(session))
        answerer = asyncio.create_task(self._answer())
        keepers = [asyncio.create_task(self._keep_time()), asyncio.create_task(self._leave())]
        tasks: list[asyncio.Task[None]] = [listener, answerer, *keepers]
        try:
            running = set(tasks)
            while not (listener.done() and answerer.done()):
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, session: OpenSession) -> None:
        while (ask := await self._receive()) is not None:
            self._heard = time.monotonic()
            if isinstance(ask, Frame):
                self._accept(session, ask)
            elif isinstance(ask, Credit):
                self._grant(ask.credits)
            elif isinstance(ask, Update):
                self._change(session, ask)
            else:
                raise Ended("invalid", "a second Open; one conversation is one session")
        self._pending.put_nowait(None)

    def _accept(self, session: OpenSession, frame: Frame) -> None:
        if self._drain.is_set():
            return
        if self.in_flight >= self._rules.window:
            raise Ended(
                "overrun",
                f"frame {frame.number}: {self.in_flight} frames have no result yet, the window is "
                f"{self._rules.window}; wait for results",
            )
        if len(frame.data) > self._rules.max_bytes:
            raise Ended(
                "too_large",
                f"frame {frame.number} has {len(frame.data)} bytes, at most {self._rules.max_bytes}",
            )
        if frame.credits:
            self._grant(frame.credits)
        self.in_flight += 1
        self._quiet.clear()
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        done = session.push(frame.data, frame.pts, key_frame=frame.key_frame)
        self._pending.put_nowait((frame, done))

    def _grant(self, credits: int) -> None:
        if not self._counted:
            raise Ended("invalid", "credits, where Open named none: name some there, or never")
        if not 0 < credits <= _MOST_CREDITS - self._credits:
            raise Ended(
                "invalid", f"{credits} credits: expected 1 or more, and at most {_MOST_CREDITS} in all"
            )
        self._credits += credits
        self._granted.set()

    def _change(self, session: OpenSession, update: Update) -> None:
        self._updates += 1
        self._quiet.clear()
        if self._updates > _MOST_UPDATES:
            raise Ended("overrun", f"more than {_MOST_UPDATES} updates without an answer; wait for answers")
        self._pending.put_nowait((update, session.set_effects(update.effects, update.select)))

    async def _answer(self) -> None:
        while (pending := await self._pending.get()) is not None:
            ask, done = pending
            if isinstance(ask, Frame):
                await self._tell(ask, done)
            else:
                await self._tell_update(ask, done)

    async def _tell(self, frame: Frame, done: Future[FrameResult]) -> None:
        try:
            result = await self._worked(done)
        except SourceError as error:
            raise Ended("invalid", f"frame {frame.number}: {_line(error)}") from error
        except Exception as error:
            _log.error("frame %d failed: %s: %s", frame.number, type(error).__name__, _line(error))
            raise Ended("internal", f"frame {frame.number} failed; the server's log says why") from error
        while self._counted and not self._credits:
            self._granted.clear()
            await self._granted.wait()
        self._credits -= self._counted
        # Before it leaves: the client may answer with a frame before the carrier tells us that it has gone.
        self.in_flight -= 1
        await self._send(Result(frame.number, result))
        self._rest()

    async def _worked(self, done: Future[T]) -> T:
        """Wait for what is under work; that is not the client's silence."""
        self._working = True
        try:
            return await asyncio.wrap_future(done)
        finally:
            self._working, self._heard = False, time.monotonic()

    async def _tell_update(self, update: Update, done: Future[None]) -> None:
        refused = ""
        try:
            await self._worked(done)
        except UsageError as error:
            refused = _line(error)
        except FacefxError as error:
            _log.error("update %d failed: %s", update.number, error)
            refused = "it cannot be had here; the server's log says why"
        self._updates -= 1
        await self._send(Updated(update.number, refused))
        self._rest()

    def _rest(self) -> None:
        if not self.in_flight and not self._updates:
            self._quiet.set()

    async def _keep_time(self) -> None:
        """End what is silent, or too old."""
        rules, began = self._rules, time.monotonic()
        while True:
            now = time.monotonic()
            if now - began >= rules.longest_s:
                raise Ended("deadline", f"a conversation lasts {rules.longest_s:g} s at most; connect again")
            silent_s = now - self._heard
            if silent_s >= rules.idle_s and not self._working:
                raise Ended("deadline", f"nothing was heard for {rules.idle_s:g} s; connect again")
            left_s = min(rules.idle_s - silent_s, began + rules.longest_s - now)
            await asyncio.sleep(max(left_s, rules.idle_s / 10))

    async def _leave(self) -> None:
        """Once the server drains, finish what is in flight and say good-bye."""
        await self._drain.wait()
        await self._quiet.wait()
        raise Ended("draining", "the server is going away; connect again")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
