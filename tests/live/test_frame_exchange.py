"""A conversation about frames: credits both ways, limits, and an end that says why."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from frame_makers import TICKS, Finding, packets, service, until

from facefx.live.frame_exchange import (
    Ask,
    Credit,
    Ended,
    Exchange,
    ExchangeRules,
    Frame,
    Open,
    Opened,
    Reply,
    Result,
    Update,
    Updated,
)
from facefx.live.frame_service import FrameService
from facefx.live.frames import FrameSettings


class Carrier:
    """What a client says goes in by `say`; what it hears comes out by `hear`."""

    def __init__(self, frames: FrameService, **rules: Any) -> None:
        self.drain = asyncio.Event()
        self._said: asyncio.Queue[Ask | None] = asyncio.Queue()
        self._heard: asyncio.Queue[Reply] = asyncio.Queue()
        self.exchange = Exchange(frames, ExchangeRules(**rules), self._said.get, self._heard.put, self.drain)
        self.running = asyncio.create_task(self.exchange.run())

    def say(self, *asks: Ask | None) -> None:
        for ask in asks:
            self._said.put_nowait(ask)

    def full_after(self, replies: int) -> None:
        """The carrier takes so many replies until somebody hears them."""
        self._heard._maxsize = replies  # type: ignore[attr-defined]

    async def hear(self) -> Reply:
        return await asyncio.wait_for(self._heard.get(), 10)

    @property
    def silent(self) -> bool:
        return self._heard.empty()

    async def end(self) -> Ended:
        with pytest.raises(Ended) as ended:
            await asyncio.wait_for(self.running, 10)
        return ended.value


def frames_of(count: int, first: int = 0) -> list[Frame]:
    _, sent = packets(range(first + count))
    return [Frame(i, i * TICKS, data) for i, data in enumerate(sent)][first:]


def converse(
    talk: Callable[[Carrier], Coroutine[Any, Any, None]], finding: Finding | None = None, **rules: Any
) -> FrameService:
    """Run a talk with a service of its own, and see that the place is free afterwards."""

    async def run() -> None:
        carrier = Carrier(frames, **rules)
        try:
            await talk(carrier)
        finally:
            carrier.running.cancel()
            await asyncio.gather(carrier.running, return_exceptions=True)

    with service(finding, sessions=1) as frames:
        asyncio.run(run())
    assert frames.sessions == 0
    return frames


def test_every_frame_has_its_result_in_order_and_the_end_is_quiet() -> None:
    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings(), 10), *frames_of(3), None)
        assert await carrier.hear() == Opened(3, 4 << 20)
        heard = [await carrier.hear() for _ in range(3)]
        assert [reply.number for reply in heard if isinstance(reply, Result)] == [0, 1, 2]
        await carrier.running

    converse(talk, window=3)


def test_a_frame_beyond_the_window_ends_the_conversation_and_is_not_done() -> None:
    gate = threading.Event()
    finding = Finding(act=lambda pts: _wait(gate))

    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()), *frames_of(3))
        ended = await carrier.end()
        gate.set()
        assert ended.reason == "overrun"
        assert carrier.exchange.most_in_flight == 2

    converse(talk, finding)
    assert finding.seen in ([], [0])


def test_no_result_leaves_without_the_clients_credit() -> None:
    async def talk(carrier: Carrier) -> None:
        one, two, three, four = frames_of(4)
        carrier.say(Open(FrameSettings(), 1), one, two)
        await carrier.hear()
        assert isinstance(await carrier.hear(), Result)
        # The second is done, and waits: it still counts as in flight, so a third and no fourth fits.
        await until(lambda: carrier.exchange._pending.empty())
        assert carrier.silent
        assert carrier.exchange.in_flight == 1
        carrier.say(Credit(1))
        assert isinstance(await carrier.hear(), Result)
        carrier.say(Frame(three.number, three.pts, three.data, credits=1))
        assert isinstance(await carrier.hear(), Result)
        carrier.say(four, Credit(1), None)
        assert isinstance(await carrier.hear(), Result)
        await carrier.running

    converse(talk)


@pytest.mark.parametrize("credits", [0, 5000])
def test_credits_that_cannot_be_are_refused(credits: int) -> None:
    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings(), 1), Credit(credits))
        assert (await carrier.end()).reason == "invalid"

    converse(talk)


def test_credits_are_counted_from_the_beginning_or_never() -> None:
    async def counted(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()), *frames_of(2), None)
        assert [type(await carrier.hear()) for _ in range(3)] == [Opened, Result, Result]

    async def named_late(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()), Credit(1))
        assert (await carrier.end()).reason == "invalid"

    converse(counted)
    converse(named_late)


def test_a_client_that_reads_nothing_is_silent_while_results_wait_for_it() -> None:
    """The carrier takes no more: one result is stuck in it, and another frame is in flight."""

    async def talk(carrier: Carrier) -> None:
        carrier.full_after(1)
        carrier.say(Open(FrameSettings()), *frames_of(2))
        assert (await carrier.end()).reason == "deadline"

    converse(talk, idle_s=0.1)


def test_an_update_acts_between_the_frames_that_it_came_between() -> None:
    finding = Finding()

    async def talk(carrier: Carrier) -> None:
        one, two = frames_of(2)
        settings = FrameSettings(effects=("sharpen",))
        carrier.say(Open(settings, 9), one, Update(5, ("solid",)), Update(6, ("sollid",)), two, None)
        heard = [await carrier.hear() for _ in range(5)]
        assert [type(reply) for reply in heard] == [Opened, Result, Updated, Updated, Result]
        good, bad = heard[2], heard[3]
        assert good == Updated(5)
        assert isinstance(bad, Updated)
        assert "unknown effect" in bad.refused
        await carrier.running

    converse(talk, finding)
    assert finding.hides == [False, True]


def test_updates_without_end_are_refused() -> None:
    gate = threading.Event()

    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()), *frames_of(1))
        carrier.say(*(Update(i, ("solid",)) for i in range(5)))
        ended = await carrier.end()
        gate.set()
        assert ended.reason == "overrun"

    converse(talk, Finding(act=lambda pts: _wait(gate)))


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Credit(1), "invalid"),
        (Frame(0, 0, b"x"), "invalid"),
        (None, "invalid"),
        (Open(FrameSettings(effects=("sollid",))), "invalid"),
        (Open(FrameSettings(coding="avcc")), "invalid"),
    ],
)
def test_a_conversation_that_cannot_begin_says_why(first: Ask | None, reason: str) -> None:
    async def talk(carrier: Carrier) -> None:
        carrier.say(first)
        assert (await carrier.end()).reason == reason

    converse(talk)


def test_a_second_open_ends_it() -> None:
    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()), Open(FrameSettings()))
        assert (await carrier.end()).reason == "invalid"

    converse(talk)


def test_time_that_runs_back_ends_it() -> None:
    async def talk(carrier: Carrier) -> None:
        one, two = frames_of(2)
        carrier.say(Open(FrameSettings()), one, Frame(1, 0, two.data))
        ended = await carrier.end()
        assert (ended.reason, "must rise" in str(ended)) == ("invalid", True)

    converse(talk)


def test_a_frame_that_is_too_large_is_not_looked_into() -> None:
    finding = Finding()

    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()), Frame(0, 0, bytes(1001)))
        assert (await carrier.end()).reason == "too_large"

    converse(talk, finding, max_bytes=1000)
    assert finding.seen == []


def test_silence_ends_before_and_after_the_beginning() -> None:
    async def nothing(carrier: Carrier) -> None:
        assert (await carrier.end()).reason == "deadline"

    async def hello(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()))
        assert (await carrier.end()).reason == "deadline"

    converse(nothing, open_s=0.05)
    converse(hello, idle_s=0.05)


def test_a_client_that_takes_no_results_is_silent_however_much_it_sent() -> None:
    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings(), 1), *frames_of(3))
        assert (await carrier.end()).reason == "deadline"
        assert carrier.exchange.in_flight == 2

    converse(talk, idle_s=0.1, window=3)


def test_a_frame_that_takes_long_is_not_the_clients_silence() -> None:
    gate = threading.Event()

    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()), *frames_of(1))
        await carrier.hear()
        timer = threading.Timer(0.6, gate.set)
        timer.start()
        assert isinstance(await carrier.hear(), Result)
        timer.join()
        ended, _ = await asyncio.wait({carrier.running}, timeout=0.1)
        assert not ended  # its silence begins with the result

    converse(talk, Finding(act=lambda pts: _wait(gate)), idle_s=0.4)


def test_no_conversation_lasts_for_ever() -> None:
    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()))
        ended = await carrier.end()
        assert (ended.reason, "lasts" in str(ended)) == ("deadline", True)

    converse(talk, longest_s=0.05)


def test_a_server_that_drains_finishes_what_is_in_flight_and_takes_no_more() -> None:
    gate = threading.Event()
    finding = Finding(act=lambda pts: _wait(gate))

    async def talk(carrier: Carrier) -> None:
        one, two, three = frames_of(3)
        carrier.say(Open(FrameSettings(), 9), one, two)
        await carrier.hear()
        await until(lambda: carrier.exchange.in_flight == 2)
        carrier.drain.set()
        carrier.say(three)
        gate.set()
        assert [type(await carrier.hear()) for _ in range(2)] == [Result, Result]
        assert (await carrier.end()).reason == "draining"

    converse(talk, finding, window=3)
    assert finding.seen == [0, TICKS]


def test_an_error_of_ours_tells_the_client_nothing_of_our_insides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("secret path")

    monkeypatch.setattr("facefx.live.frames.FrameSession.push", fail)

    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()), *frames_of(1))
        ended = await carrier.end()
        assert (ended.reason, "secret" in str(ended)) == ("internal", False)

    converse(talk)


def test_a_full_service_says_so() -> None:
    async def talk(carrier: Carrier) -> None:
        carrier.say(Open(FrameSettings()))
        await carrier.hear()
        second = Carrier(carrier.exchange._service)
        second.say(Open(FrameSettings()))
        assert (await second.end()).reason == "no_room"

    converse(talk)


def _wait(gate: threading.Event) -> None:
    assert gate.wait(10)
