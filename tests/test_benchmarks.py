"""A benchmark that cannot fail, or whose clip is not what it says, proves nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import pytest

from benchmarks import bare, bench_beauty, bench_deface, bench_speed, clips, lib


def result(*goals: lib.Goal) -> lib.Result:
    return lib.Result("trial", "What it asks.\n\nHow it asks.", "one clip", list(goals))


@pytest.mark.parametrize(
    ("got", "limit", "at_least", "judged", "code"),
    [
        (0.94, 0.93, True, True, 0),
        (0.92, 0.93, True, True, 1),
        (1.4, 1.5, False, True, 0),
        (1.6, 1.5, False, True, 1),
        (0.5, 0.93, True, False, 0),
    ],
)
def test_a_missed_goal_is_an_exit_code(
    got: float,
    limit: float,
    at_least: bool,
    judged: bool,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lib, "RESULTS", tmp_path)
    assert lib.finish(result(lib.Goal("g", got, limit, at_least, judged)), short=False) == code
    assert (tmp_path / "trial.json").exists()
    assert ("| MISSED |" in (tmp_path / "trial.md").read_text(encoding="utf-8")) == (code == 1)


def test_a_short_trial_leaves_no_figures_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lib, "RESULTS", tmp_path)
    lib.finish(result(), short=True)
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_fails_has_no_speed() -> None:
    with pytest.raises(SystemExit, match="exit 3"):
        lib.run_child([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_child_is_charged_for_its_own_cpu_and_memory() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\nx = bytearray(200_000_000)"
    # In a process of its own: the kernel reports no smaller peak than the parent's own so far.
    program = (
        "import sys; from benchmarks import lib; "
        f"busy = lib.run_child([sys.executable, '-c', {busy!r}]); "
        "idle = lib.run_child([sys.executable, '-c', 'import time; time.sleep(0.2)']); "
        "assert 0.3 <= busy.cpu_s < 5, busy; assert idle.cpu_s < busy.cpu_s, idle; "
        "assert busy.peak_mb > 190 > idle.peak_mb, (busy, idle)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=lib.ROOT)


def test_start_up_is_taken_off_both_sides_and_never_more_than_there_was() -> None:
    assert lib.per_frame(11.0, 1.0, 101, 1) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="frames took"):
        lib.per_frame(1.0, 1.0, 100, 1)


def test_rounds_alternate_so_that_drift_falls_on_both(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def note(command: list[str]) -> lib.Sample:
        ran.append(command[0])
        return lib.Sample(1, 1, 1)

    monkeypatch.setattr(lib, "run_child", note)
    lib.alternate({"a": ["a"], "b": ["b"]}, 3)
    assert ran == ["a", "b", "b", "a", "a", "b"]


def steps(path: Path) -> tuple[int, set[int]]:
    """Number of frames that decode, and the distances between their times."""
    with av.open(str(path)) as clip:
        times = [frame.pts or 0 for frame in clip.decode(video=0)]
    return len(times), {later - sooner for sooner, later in pairwise(times)}


def test_benchmark_clips_have_the_frames_they_claim_without_gaps(media: Path, tmp_path: Path) -> None:
    source = media / "formats" / "audio_shorter_640x360.mp4"
    once, step = steps(source)
    assert clips.loop(source, tmp_path / "loop.mp4", 3) == 3 * once
    assert steps(tmp_path / "loop.mp4") == (3 * once, step)
    assert clips.take(source, tmp_path / "first.mp4", 1) == 1
    assert steps(tmp_path / "first.mp4") == (1, set())


@pytest.mark.parametrize(
    "command",
    [
        bench_speed._pair(Path("c.mp4"), Path("out"), "c")["bare"],
        bench_beauty._sides(Path("c.mp4"), Path("out"), None)[bench_beauty.BARE],
        bench_deface._pair(Path("c.mp4"), Path("out"), Path("deface"))[bench_deface.BARE],
    ],
    ids=["speed", "beauty", "deface"],
)
def test_the_yardstick_takes_what_a_benchmark_calls_it_with(command: list[str]) -> None:
    assert command[1:3] == ["-m", "benchmarks.bare"]
    inspect.signature(bare.transcode).bind(*command[3:])
