"""A folder of videos from the first run to the last: nothing twice, nothing left, nothing of another plan."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archive_makers import DETECTOR, Archive, clip_bytes, put_clips, recipe_of, without_accounts

from facefx.archive.manifest import faces_dataset, read_manifest
from facefx.archive.run import ArchiveRequest
from facefx.errors import ExitCode, RecordsError
from facefx.video.fidelity import Contract, verify

NAMES = ("a.mp4", "day/b.mkv", "day/night/c.mp4")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    source = put_clips(tmp_path / "in", *NAMES)
    return Archive(str(source), str(tmp_path / "out"), tmp_path / "scratch")


def test_every_video_of_a_tree_comes_out_whole_with_all_that_belongs_to_it(archive: Archive) -> None:
    summary = archive.run()
    assert (summary.exit_code, summary.done, summary.frames) == (ExitCode.DONE, 3, 60)
    assert sorted(archive.outputs()) == sorted(NAMES)
    target = Path(archive.target)
    for name in NAMES:
        report = verify(Path(archive.source) / name, target / name, Contract(), decode="full")
        assert report.ok, report.broken
    rows = list(read_manifest(Path(summary.manifest)))
    assert {row.source.relative: row.status for row in rows} == dict.fromkeys(NAMES, "done")
    assert all(row.output and row.output.sha256 == archive.outputs()[row.output.relative] for row in rows)
    faces = faces_dataset(target / ".facefx" / "faces").to_table()
    assert {row.key for row in rows} == set(faces["video"].to_pylist())
    assert faces.num_rows == sum(row.faces.face_frames for row in rows) > 20
    report_text = Path(summary.report).read_text()
    assert all(name in report_text for name in NAMES)
    sheets = [target / ".facefx" / "sheets" / f"{row.key}.jpg" for row in rows]
    assert all(sheet.read_bytes().startswith(b"\xff\xd8") for sheet in sheets)
    assert archive.strays() == []


def test_personal_data_beside_the_outputs_is_for_its_owner_only(archive: Archive) -> None:
    archive.run()
    inner = list((Path(archive.target) / ".facefx").rglob("*"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in inner), inner


def test_a_second_run_finds_nothing_to_do_and_writes_nothing_but_its_accounts(archive: Archive) -> None:
    archive.run()
    before = archive.tree()
    asked: list[str] = []
    summary = archive.run(lambda task, tools: asked.append("a worker"))
    assert (summary.exit_code, summary.done, summary.skipped, asked) == (ExitCode.DONE, 0, 3, [])
    assert without_accounts(archive.tree()) == without_accounts(before)


def test_the_report_of_a_run_that_had_nothing_to_do_still_names_the_plan(archive: Archive) -> None:
    first, second = archive.run(), archive.run()
    assert second.facts.recipe_sha256 == first.facts.recipe_sha256
    assert second.facts.recipe["analysis"]["detector"]["name"] == DETECTOR


def test_a_source_that_changed_is_done_again_and_no_other(archive: Archive) -> None:
    archive.run()
    before, outputs = archive.tree(), archive.outputs()
    (Path(archive.source) / "a.mp4").write_bytes(clip_bytes(seconds=1))
    summary = archive.run()
    assert (summary.done, summary.skipped) == (1, 2)
    assert archive.outputs()["a.mp4"] != outputs["a.mp4"]
    assert archive.records()["a.mp4"].frames == 10
    assert archive.tree()["day/b.mkv"] == before["day/b.mkv"]


def test_an_output_that_somebody_removed_is_made_again(archive: Archive) -> None:
    """Skipping it as done before would tell people that it is there."""
    archive.run()
    outputs = archive.outputs()
    (Path(archive.target) / "a.mp4").unlink()
    summary = archive.run()
    assert (summary.done, summary.skipped) == (1, 2)
    assert archive.outputs() == outputs


def test_a_video_that_joined_is_done_beside_those_that_were(archive: Archive) -> None:
    archive.run()
    put_clips(Path(archive.source), "new.mp4")
    summary = archive.run()
    assert (summary.done, summary.skipped, summary.facts.videos) == (1, 3, 4)


@pytest.mark.parametrize(
    ("effects", "changes", "named"),
    [
        (("pixelate",), {}, "config.effects"),
        ((), {"settings": {"seed": "another"}}, "config.seed"),
        ((), {"settings": {"encode": {"preset": "superfast"}}}, "config.encode.preset"),
        ((), {"segment_s": 2.0}, "segment_s"),
    ],
)
def test_a_target_of_another_plan_is_refused_by_what_differs(
    archive: Archive, effects: tuple[str, ...], changes: dict[str, Any], named: str
) -> None:
    archive.run()
    before = archive.tree()
    other = replace(archive.request(), recipe=recipe_of(archive.target, *effects, **changes))
    with pytest.raises(RecordsError, match=named.replace(".", r"\.")) as refused:
        archive.run(request=other)
    assert refused.value.exit_code == ExitCode.BAD_INPUT
    assert "purge --all" in str(refused.value)
    assert without_accounts(archive.tree()) == without_accounts(before)


def test_a_secret_seed_is_kept_nowhere(archive: Archive) -> None:
    secret = "swordfish-4711"
    request = replace(archive.request(), recipe=recipe_of(archive.target, settings={"seed": secret}))
    archive.run(request=request)
    for name in archive.files():
        assert secret.encode() not in (Path(archive.target) / name).read_bytes(), name


def test_a_template_lays_the_outputs_out_anew(archive: Archive) -> None:
    recipe = recipe_of(archive.target)
    request = ArchiveRequest((archive.source,), recipe, template="{parent}/{stem}-hidden{ext}")
    archive.run(request=request)
    assert sorted(archive.outputs()) == ["a-hidden.mp4", "day/b-hidden.mkv", "night/c-hidden.mp4"]


def test_a_video_of_one_frame_and_one_shorter_than_a_segment_are_ordinary_videos(
    archive: Archive, media: Path
) -> None:
    (Path(archive.source) / "one.mp4").write_bytes((media / "formats/one_frame_640x360.mp4").read_bytes())
    (Path(archive.source) / "short.mp4").write_bytes(clip_bytes(seconds=0.4))
    summary = archive.run()
    assert (summary.exit_code, summary.done) == (ExitCode.DONE, 5)


def test_a_source_that_changes_while_it_is_worked_on_fails_and_is_done_by_the_next_run(
    archive: Archive,
) -> None:
    changed = Path(archive.source) / "a.mp4"

    def change(event: object) -> None:
        if "a.mp4: segment 1" in str(event) and changed.stat().st_size == len(clip_bytes()):
            changed.write_bytes(clip_bytes(seconds=1))

    summary = archive.run(on_event=change)
    assert archive.statuses() == {"a.mp4": "failed", "day/b.mkv": "done", "day/night/c.mp4": "done"}
    assert "changed since it was found" in archive.records()["a.mp4"].reason
    assert summary.exit_code == ExitCode.PARTIAL
    assert archive.run().exit_code == ExitCode.DONE
    assert archive.records()["a.mp4"].frames == 10
    assert archive.strays() == []


def test_workers_that_were_killed_leave_no_scratch_behind_for_long(archive: Archive) -> None:
    left = archive.scratch / "worker-999-dead"
    left.mkdir(parents=True)
    (left / ".alive").touch()
    (left / "frames").write_bytes(os.urandom(100))
    archive.run()
    assert not left.exists()
