"""Sessions share threads and nets, and nothing else; a place that is left is free."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

import pytest
from frame_makers import TICKS, Finding, packets, served, service

from facefx.errors import EffectError, ResourcesError
from facefx.faces.analysis import Analysis
from facefx.live.frame_look import Finder, make_finder
from facefx.live.frame_service import FrameService, OpenSession
from facefx.live.frames import FrameResult, FrameSession, FrameSettings
from facefx.pipeline.nets import Nets
from facefx.values import StreamFormat


def left(frames: FrameService) -> int:
    """Sessions that have a place, once the work threads have done what they were told."""
    for worker in frames._workers:
        worker.pool.submit(lambda: None).result()
    return frames.sessions


def test_two_clients_share_the_nets_and_not_the_tracks() -> None:
    lent: list[tuple[Nets, object]] = []

    def looking(analysis: Analysis, format: StreamFormat, nets: Nets) -> Finder:
        lent.append((nets, nets.detector(analysis.detector)))
        return make_finder(analysis, format, nets)

    with FrameService(served(), make=partial(FrameSession, looking=looking)) as frames:
        one, two = frames.open(FrameSettings()), frames.open(FrameSettings())
        _, sent = packets(range(2))
        futures = [each.push(sent[0], 0) for each in (one, two)]
        assert [future.result().dropped for future in futures] == ["", ""]
        (nets, detector), (others, other) = lent
        assert nets is others
        assert detector is other
        first, second = one._session, two._session
        assert first is not None
        assert second is not None
        assert first._stages is not None
        assert second._stages is not None
        assert first._stages.finder is not second._stages.finder
        one.close()
        assert two.push(sent[1], TICKS).result().dropped == ""  # what was lent stays


def test_sessions_go_to_the_thread_that_has_the_fewest() -> None:
    with service(workers=2, sessions=4) as frames:
        threads = set()
        for _ in range(2):
            frames.open(FrameSettings()).ready.result()
        for worker in frames._workers:
            threads.add(worker.pool.submit(threading.get_ident).result())
            assert worker.sessions == 1
        assert len(threads) == 2


def test_a_place_is_refused_when_all_are_taken_and_free_when_one_left() -> None:
    with service(sessions=1) as frames:
        held = frames.open(FrameSettings())
        with pytest.raises(ResourcesError, match="places"):
            frames.open(FrameSettings())
        held.close()
        held.close()
        assert left(frames) == 0
        frames.open(FrameSettings()).ready.result()


def test_settings_that_cannot_be_had_say_so_and_take_no_place_for_good() -> None:
    with service(sessions=1) as frames:
        wrong = frames.open(FrameSettings(effects=("sollid",)))
        with pytest.raises(EffectError):
            wrong.ready.result()
        wrong.close()
        assert left(frames) == 0


def test_what_waits_for_a_client_that_left_is_never_done() -> None:
    going, gate = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        going.set()
        assert gate.wait(10)

    finding = Finding(act=wait)
    with service(finding) as frames:
        gone = frames.open(FrameSettings())
        _, sent = packets(range(3))
        futures = [gone.push(data, i * TICKS) for i, data in enumerate(sent)]
        assert going.wait(10)
        gone.close()
        gate.set()
        assert futures[0].result().dropped == ""
        for future in futures[1:]:
            with pytest.raises(CancelledError):
                future.result()
        assert left(frames) == 0
        assert finding.seen == [0]
        assert frames.stats()["frames"] == 1


def test_nets_are_loaded_before_the_first_client_comes() -> None:
    with FrameService(served()) as frames:
        frames.warm()
        (worker,) = frames._workers
        assert worker.nets._detectors
        assert worker.nets._meshes


def test_a_service_that_has_closed_takes_nobody() -> None:
    frames = service()
    open_one: OpenSession = frames.open(FrameSettings())
    frames.close()
    for call in (lambda: frames.open(FrameSettings()), lambda: open_one.push(b"x", 0)):
        with pytest.raises(ResourcesError):
            _any(call())
    open_one.close()
    assert frames.sessions == 0


def _any(value: Future[FrameResult] | OpenSession) -> Any:
    return value
