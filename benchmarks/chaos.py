"""Whether an archive comes out the same when its processes are killed.

Clips of four seconds in segments of two, on two lanes of a local Ray, one core each. First undisturbed; then
with a lane killed (SIGKILL) every few seconds, with other seeds; then with the driver itself killed again and
again, each time started anew; then with a part of the files broken in several ways. Outputs are compared
byte by byte with the undisturbed run's. Nothing here depends on the machine's speed, so every run is judged.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos_lib import Archive, kill_some_lanes, lanes_of, make_clips, state_of, sums
from benchmarks.lib import Goal, Result, finish, parser, say, scratch


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done: clips, seeds of killed lanes, kills of the driver, files and the broken of them.

    pause_s: shortest and longest time from one killed lane to the next.
    """

    clips: int
    seeds: int
    driver_kills: int
    files: int
    broken: int
    pause_s: tuple[float, float]


# The longest that a driver lives after its first new result: so short that the archive outlives all kills.
_DRIVER_LIVES_S = 0.5

LONG, SHORT = Size(20, 5, 10, 100, 20, (1.5, 4.0)), Size(6, 1, 2, 10, 4, (1.5, 3.0))


@dataclass(slots=True)
class Outcome:
    """What one disturbed archive came to. redone: tasks begun again; allowed: what was in flight then."""

    name: str
    kills: int
    lost: int
    duplicate: int
    unequal: int
    redone: int
    allowed: int
    left: int
    seconds: float
    codes: str

    def row(self) -> list[str]:
        """Cells of the table."""
        cells = (
            self.kills,
            self.lost,
            self.duplicate,
            self.unequal,
            f"{self.redone} of {self.allowed}",
            self.left,
        )
        return [self.name, *map(str, cells), f"{self.seconds:.0f}", self.codes]


def main() -> int:
    """Disturb, compare, judge."""
    reader = parser(__doc__)
    reader.add_argument("--placement", default="lane", help="lane, split or stages")
    chosen = reader.parse_args()
    size = SHORT if chosen.short else LONG
    with scratch() as folder:
        make_clips(folder / "in", size.clips)
        more = (
            "--workers",
            "2",
            "--segment-s",
            "2",
            "--preset",
            "ultrafast",
            "--placement",
            chosen.placement,
        )

        def archive(name: str) -> Archive:
            return Archive(folder / "in", folder / name, folder / f"{name}-scratch", more)

        calm = archive("calm")
        code, _ = calm.whole()
        expected = sums(calm.target)
        say(f"undisturbed: exit {code}, {len(expected)} outputs in {time.monotonic() - calm.began:.0f} s")
        outcomes = [
            _lanes_killed(archive(f"lanes{seed}"), expected, seed, size) for seed in range(size.seeds)
        ]
        outcomes.append(_driver_killed(archive("driver"), expected, size.driver_kills))
        broken = _broken(folder, size)
    return finish(_result(size, len(expected), code, outcomes, broken, chosen.placement), short=chosen.short)


def _lanes_killed(archive: Archive, expected: Mapping[str, str], seed: int, size: Size) -> Outcome:
    run = archive.begin()
    _until(lambda: bool(state_of(archive.target)), run)
    kills = kill_some_lanes(run, random.Random(seed), size.pause_s)
    summary = _summary(run)
    return _judged(
        f"lanes killed, seed {seed}", archive, expected, kills, summary["lost"], kills, [run.returncode]
    )


def _summary(run: subprocess.Popen[str]) -> dict[str, int]:
    assert run.stdout is not None
    said = run.stdout.read()
    facts = json.loads(said) if said.strip() else {}
    return {"lost": facts.get("lost", 0), "redone": facts.get("redone", 0)}


def _driver_killed(archive: Archive, expected: Mapping[str, str], kills: int) -> Outcome:
    """Kill the driver some time into its work; what counted as done before must be the very same after."""
    chance = random.Random(len(expected))
    made_again, codes, orphans = 0, [], set[int]()
    for _ in range(kills):
        before = state_of(archive.target)
        run = archive.begin()
        _until(lambda before=before: len(state_of(archive.target)) > len(before), run)  # type: ignore[misc]
        try:
            run.wait(chance.uniform(0.0, _DRIVER_LIVES_S))
        except subprocess.TimeoutExpired:
            orphans.update(lanes_of(run.pid))
            run.send_signal(signal.SIGKILL)
        run.wait()
        codes.append(run.returncode)
        after = state_of(archive.target)
        made_again += sum(after[name] != told for name, told in before.items() if name in after)
    while any(Path(f"/proc/{pid}").exists() for pid in orphans):
        time.sleep(0.05)  # a killed driver's workers end some seconds after it
    run = archive.begin()
    run.communicate()
    codes.append(run.returncode)
    return _judged("driver killed", archive, expected, codes.count(-9), made_again, 0, codes)


def _until(happened: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    """Wait until something is seen on the disk, or the run has ended."""
    while run.poll() is None and not happened():
        time.sleep(0.05)


def _judged(
    name: str,
    archive: Archive,
    expected: Mapping[str, str],
    kills: int,
    redone: int,
    allowed: int,
    codes: list[int],
) -> Outcome:
    got, records = sums(archive.target), archive.records()
    done = [record["output"]["relative"] for record in records if record["status"] == "done"]
    outcome = Outcome(
        name=name,
        kills=kills,
        lost=len(expected.keys() - got.keys()) + len(expected.keys() - set(done)),
        duplicate=len(got.keys() - expected.keys()) + len(done) - len(set(done)),
        unequal=sum(got[file] != expected[file] for file in expected.keys() & got.keys()),
        redone=redone,
        allowed=allowed,
        left=archive.left().count,
        seconds=time.monotonic() - archive.began,
        codes=" ".join(map(str, codes)),
    )
    say(f"{name}: {kills} kills, {' '.join(outcome.row()[2:])}")
    return outcome


@dataclass(frozen=True, slots=True)
class Broken:
    """What became of the files of which some were broken, and of a second try."""

    done: int
    quarantined: int
    without_reason: int
    code: int
    retried: int
    touched: int
    retry_code: int


def _broken(folder: Path, size: Size) -> Broken:
    """Good clips and broken files side by side; then another try, which must leave the good ones alone."""
    source = folder / "some-broken"
    make_clips(source, size.files - size.broken, seconds=0.5)
    good = (source / "clip000.mp4").read_bytes()
    for i in range(size.broken):
        data = (b"", b"garbage" * 999, good[: len(good) // 2], good[:400] + bytes(800) + good[1200:])[i % 4]
        (source / f"broken{i:03d}.mp4").write_bytes(data)
    archive = Archive(source, folder / "some", folder / "some-scratch")
    code, summary = archive.whole()
    records = archive.records()
    before = {name: told for name, told in state_of(archive.target).items() if not name.startswith(".")}
    retry_code, again = archive.whole("retry")
    after = {name: told for name, told in state_of(archive.target).items() if not name.startswith(".")}
    given_up = [record for record in records if record["status"] == "quarantined"]
    return Broken(
        done=summary["done"],
        quarantined=len(given_up),
        without_reason=sum(
            not (record["reason"] and record["kind"] and record["where"]) for record in given_up
        ),
        code=code,
        retried=again["quarantined"] + again["failed"] + again["done"],
        touched=sum(after.get(name) != told for name, told in before.items()),
        retry_code=retry_code,
    )


def _result(
    size: Size, outputs: int, code: int, outcomes: list[Outcome], broken: Broken, placement: str
) -> Result:
    def worst(what: str) -> float:
        return float(sum(getattr(outcome, what) for outcome in outcomes))

    unfinished = sum(outcome.codes.split()[-1] != "0" for outcome in outcomes) + (code != 0)
    goals = [
        Goal("archives that did not end with 0", unfinished, 0, False),
        Goal("undisturbed outputs, of the clips", outputs / size.clips, 1, True),
        Goal("kills of lanes, for each seed at least", min(o.kills for o in outcomes[:-1]), 1, True),
        Goal("kills of the driver", outcomes[-1].kills, size.driver_kills, True),
        Goal("videos lost", worst("lost"), 0, False),
        Goal("outputs or records too many", worst("duplicate"), 0, False),
        Goal("outputs that differ from the undisturbed run's", worst("unequal"), 0, False),
        Goal(
            "tasks begun again beyond those in flight",
            sum(max(o.redone - o.allowed, 0) for o in outcomes),
            0,
            False,
        ),
        Goal("files left lying about", worst("left"), 0, False),
        Goal(
            f"of {size.files} files with {size.broken} broken: done",
            broken.done,
            size.files - size.broken,
            True,
        ),
        Goal("quarantined", broken.quarantined, size.broken, True),
        Goal("quarantined without a reason", broken.without_reason, 0, False),
        Goal(
            "exit codes of run and retry that are not 5",
            (broken.code != 5) + (broken.retry_code != 5),
            0,
            False,
        ),
        Goal("tried again by retry, apart from the broken", broken.retried - size.broken, 0, False),
        Goal("good outputs that retry touched", broken.touched, 0, False),
    ]
    header = ["", "kills", "lost", "too many", "unequal", "begun again", "left", "seconds", "exit codes"]
    return Result(
        name="chaos",
        about=__doc__,
        setting=f"{size.clips} clips, {size.seeds} seeds, placement {placement}, 2 lanes; "
        f"then {size.files} files, {size.broken} of them broken.",
        goals=goals,
        figures={"outcomes": [outcome.row() for outcome in outcomes]},
        tables=[("What was done to it, and what came out", header, [outcome.row() for outcome in outcomes])],
    )


if __name__ == "__main__":
    sys.exit(main())
