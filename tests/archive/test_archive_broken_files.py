"""Broken files among good ones: set aside with their reasons, tried again alone, the rest untouched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from archive_makers import Archive, clip_bytes, put_clips

from facefx.archive.again import request_again
from facefx.errors import ExitCode

# make chaos raises them.
FILES, BROKEN = (100, 20) if os.environ.get("FACEFX_CHAOS") == "1" else (12, 4)

# What people have on their disks, and what they are to be told of it.
REASONS = {
    "garbage.mp4": "garbage",
    "truncated_faststart.mp4": "90 of 180",
    "truncated_no_moov.mp4": "truncated_no_moov",
    "zero_byte.mp4": "empty",
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, media: Path) -> tuple[Path, dict[str, str]]:
    """A folder of good and broken files, and what is to be said of each of the latter."""
    folder = tmp_path_factory.mktemp("mixed") / "in"
    put_clips(folder, *(f"{number:03d}.mp4" for number in range(FILES - BROKEN)))
    reasons = {}
    for number in range(BROKEN):
        kind = sorted(REASONS)[number % len(REASONS)]
        name = f"{number:03d}-{kind}"
        (folder / name).write_bytes((media / "formats" / kind).read_bytes())
        reasons[name] = REASONS[kind]
    return folder, reasons


@pytest.fixture(scope="module")
def archive(sources: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    return Archive(str(sources[0]), str(folder / "out"), folder / "scratch")


def test_broken_files_are_set_aside_with_their_reasons_and_all_others_done(
    archive: Archive, sources: tuple[Path, dict[str, str]]
) -> None:
    summary = archive.run()
    reasons = sources[1]
    assert (summary.done, summary.quarantined, summary.failed) == (FILES - BROKEN, BROKEN, 0)
    assert summary.exit_code == ExitCode.PARTIAL
    troubled = {name: one for name, one in archive.records().items() if one.status != "done"}
    assert set(troubled) == set(reasons)
    for name, record in troubled.items():
        assert record.status == "quarantined"
        assert reasons[name] in record.reason, record.reason
        assert "\n" not in record.reason
        assert str(archive.scratch) not in record.reason
        assert record.run.log.startswith(("Traceback", "("))
        assert name in record.where
        assert name in Path(summary.report).read_text()
    assert sorted(archive.outputs()) == [f"{number:03d}.mp4" for number in range(FILES - BROKEN)]
    assert archive.strays() == []


def test_a_run_after_it_does_not_try_them_again_by_itself(archive: Archive) -> None:
    before = archive.tree()
    summary = archive.run()
    assert (summary.done, summary.skipped, summary.quarantined) == (0, FILES - BROKEN, BROKEN)
    assert summary.exit_code == ExitCode.PARTIAL
    assert {name: archive.tree()[name] for name in archive.outputs()} == {
        name: before[name] for name in archive.outputs()
    }
    assert archive.events == []


def test_retry_touches_them_alone_and_does_the_one_that_was_repaired(
    archive: Archive, sources: tuple[Path, dict[str, str]]
) -> None:
    repaired = sorted(sources[1])[0]
    (sources[0] / repaired).write_bytes(clip_bytes())
    good = {name for name, status in archive.statuses().items() if status == "done"}
    before, keys = archive.tree(), {archive.records()[name].key for name in good}
    summary = archive.run(request=request_again(archive.state, archive.target, None))
    assert {event.video.relative for event in archive.events} == set(sources[1])
    assert (summary.done, summary.quarantined) == (1, BROKEN - 1)
    assert archive.statuses()[repaired] == "done"
    assert archive.records()[repaired].output is not None
    after = archive.tree()
    mine = [name for name in before if name in good or any(key in name for key in keys)]
    assert len(mine) == 4 * len(good)
    assert {name: after[name] for name in mine} == {name: before[name] for name in mine}
    assert archive.strays() == []
