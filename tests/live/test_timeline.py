"""Times in the output: as the source has them, and never backwards."""

from __future__ import annotations

from fractions import Fraction

from live_fakes import FakePacket

from facefx.live.timeline import Timeline

MS = Fraction(1, 1000)


def timeline() -> Timeline:
    return Timeline(MS, Fraction(1, 25))


def test_the_first_connections_times_are_kept_as_they_are() -> None:
    line = timeline()
    line.restart()
    assert [line.picture(pts, pts / 1000) for pts in (7000, 7040, 7090)] == [7000, 7040, 7090]


def test_after_a_break_time_goes_on_by_the_length_of_the_break() -> None:
    line = timeline()
    line.picture(7000, 10.0)
    line.restart()
    assert [line.picture(0, 12.5), line.picture(50, 12.56)] == [9500, 9550]


def test_a_break_shorter_than_a_frame_still_moves_time_on() -> None:
    line = timeline()
    line.picture(7000, 10.0)
    line.restart()
    assert line.picture(7000, 10.001) == 7040


def test_time_that_runs_backwards_within_a_connection_is_mended() -> None:
    line = timeline()
    assert [line.picture(pts, 0.0) for pts in (100, 140, 0, 40)] == [100, 140, 180, 220]


def test_sound_moves_with_the_picture_whichever_comes_first() -> None:
    for sound_first in (False, True):
        line = timeline()
        line.picture(1000, 1.0)
        line.restart()
        packet = FakePacket(480, 480, Fraction(1, 48000))  # 10 ms
        if sound_first:
            moved = line.sound(packet, 2.0)
            picture = line.picture(10, 2.0)
        else:
            picture = line.picture(10, 2.0)
            moved = line.sound(packet, 2.0)
        assert moved is not None
        assert picture == 2000
        assert Fraction(moved.pts, 48000) == Fraction(picture, 1000)


def test_a_packet_of_sound_that_would_run_backwards_is_left_out() -> None:
    line = timeline()
    assert line.sound(FakePacket(100, 100), 0.0) is not None
    assert line.sound(FakePacket(100, 100), 0.0) is None
    assert line.sound(FakePacket(120, 120), 0.0) is not None
