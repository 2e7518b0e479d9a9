"""What can be done with an archive that is there: other effects without a look, new accounts, a clean-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from archive_makers import Archive, put_clips

from facefx.archive.account import rewrite_account
from facefx.archive.again import purge_archive, request_again, request_render
from facefx.archive.run import ArchiveRequest
from facefx.archive.state import STATE
from facefx.errors import ExitCode, RecordsError
from facefx.models.session import Session
from facefx.storage import StorageOptions


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    source = put_clips(tmp_path / "in", "a.mp4", "day/b.mkv")
    return Archive(str(source), str(tmp_path / "out"), tmp_path / "scratch")


def other(archive: Archive, name: str, *effects: str) -> Archive:
    target = str(Path(archive.target).with_name(name))
    return Archive(archive.source, target, archive.scratch, effects)


def render_of(archive: Archive, target: str, *effects: str) -> ArchiveRequest:
    changes: dict[str, Any] = {"effects": effects}
    return request_render(archive.state, archive.target, target, changes, StorageOptions())


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every time that a net is asked."""
    asked: list[str] = []
    run = Session.run

    def counted(session: Session, *args: Any, **more: Any) -> Any:
        asked.append(session.__class__.__name__)
        return run(session, *args, **more)

    monkeypatch.setattr(Session, "run", counted)
    return asked


def test_render_makes_what_a_run_would_have_made_and_nobody_looks(
    archive: Archive, looks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = other(archive, "direct", "pixelate")
    direct.run()
    archive.run()
    assert looks
    looks.clear()
    (tmp_path / "no-nets").mkdir()
    monkeypatch.setenv("FACEFX_MODELS", str(tmp_path / "no-nets"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-nets"))
    rendered = other(archive, "rendered")
    summary = rendered.run(request=render_of(archive, rendered.target, "pixelate"))
    assert (summary.exit_code, summary.done, looks) == (ExitCode.DONE, 2, [])
    assert rendered.outputs() == direct.outputs()
    assert rendered.outputs() != archive.outputs()
    ours, theirs = rendered.records()["a.mp4"], direct.records()["a.mp4"]
    assert ours.faces == theirs.faces
    assert ours.nets == theirs.nets


def test_a_rendered_archive_can_be_gone_on_with_and_tried_again(archive: Archive) -> None:
    archive.run()
    rendered = other(archive, "rendered")
    request = render_of(archive, rendered.target, "pixelate")
    rendered.run(request=request)
    assert rendered.run(request=request).skipped == 2
    again = request_again(rendered.state, rendered.target, None)
    assert rendered.run(request=again).exit_code == ExitCode.DONE


def test_what_the_old_archive_keeps_no_faces_of_fails_by_name_and_the_rest_is_rendered(
    archive: Archive,
) -> None:
    archive.run()
    put_clips(Path(archive.source), "new.mp4")
    rendered = other(archive, "rendered")
    summary = rendered.run(request=render_of(archive, rendered.target, "pixelate"))
    assert (summary.done, summary.failed, summary.quarantined) == (2, 1, 0)
    assert "keeps no faces of it" in rendered.records()["new.mp4"].reason


def test_faces_of_another_version_of_a_video_are_refused(archive: Archive) -> None:
    """Boxes of the old cut would leave the faces of the new one in the open."""
    archive.run()
    path = Path(archive.source) / "a.mp4"
    path.write_bytes(path.read_bytes() + b"\0")
    rendered = other(archive, "rendered")
    summary = rendered.run(request=render_of(archive, rendered.target, "pixelate"))
    assert (summary.done, summary.failed) == (1, 1)
    assert list(rendered.outputs()) == ["day/b.mkv"]


def test_purge_removes_faces_sheets_and_segments_and_leaves_results_and_records(archive: Archive) -> None:
    archive.run()
    outputs, statuses = archive.outputs(), archive.statuses()
    segment = Path(archive.target) / STATE / "segments" / "k" / "x.piece"
    segment.parent.mkdir(parents=True)
    segment.touch()
    removed = purge_archive(archive.state, everything=False)
    assert removed == 2 + 2 + 1 + 1 + 1  # faces, sheets, the segment, log and report
    left = [name for name in archive.files() if name.startswith(STATE)]
    assert not [name for name in left if any(word in name for word in ("faces", "sheet", "segment"))]
    assert (archive.outputs(), archive.statuses()) == (outputs, statuses)
    summary = archive.run()
    assert (summary.skipped, summary.exit_code) == (2, ExitCode.DONE)


def test_purge_all_leaves_the_results_alone_and_the_target_is_free_for_another_plan(
    archive: Archive,
) -> None:
    archive.run()
    outputs = archive.outputs()
    purge_archive(archive.state, everything=True)
    assert archive.files() == sorted(outputs)
    archive.effects = ("pixelate",)
    assert archive.run().done == 2


@pytest.mark.parametrize("everything", [False, True])
def test_purge_of_what_is_no_archive_says_so_and_makes_none(archive: Archive, everything: bool) -> None:
    with pytest.raises(RecordsError, match="holds no archive"):
        purge_archive(archive.state, everything=everything)
    assert not Path(archive.target).exists()


def test_report_writes_the_accounts_anew_from_the_records(archive: Archive) -> None:
    summary = archive.run()
    before = Path(summary.report).read_text()
    for path in (summary.report, summary.manifest):
        Path(path).unlink()
    written = rewrite_account(archive.state)
    assert Path(written.report).read_text() == before
    assert written.manifest == summary.manifest
    assert Path(written.manifest).is_file()


def test_a_record_that_was_damaged_is_named(archive: Archive) -> None:
    archive.run()
    (first, _) = sorted((Path(archive.target) / STATE / "commits").iterdir())
    first.write_bytes(b"{")
    with pytest.raises(RecordsError, match=first.name):
        archive.run()
