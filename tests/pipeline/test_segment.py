"""A segment gives what the whole video would have given there; where the cuts are changes nothing."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from segment_makers import Work, config, cut_at, cut_every, rows_of
from video_makers import make_video

from facefx.errors import DamagedError, SinkError, StageError
from facefx.faces.detector import make_detector
from facefx.pipeline import nets as nets_module
from facefx.pipeline.analyze import analyze_video
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.segment import (
    Nets,
    SegmentResult,
    Span,
    make_source,
    make_stage,
    run_segment,
    stage_names,
)
from facefx.telemetry.ledger import Ledger
from facefx.values import Faces
from facefx.video.piece import Piece

COLUMNS = ("frame", "pts", "track_id", "xyxy", "confidence", "source")
# Clip, effect, seconds between cuts, the first cut. People cross the cuts in all of them, or enter and leave.
CUTS = [
    ("clips/three_walk_pause_480x270.mp4", "smooth", 2, 1.1),
    ("clips/pair_headpose_480x270.mp4", "smooth", 2, 0.0),
    ("clips/man_headpose_480x270.mp4", "smooth", 5, 2.3),
    ("clips/foreman_cif_352x288.mp4", "solid", 5, 1.7),
    ("formats/vfr_640x360.mp4", "solid", 2, 0.4),
    ("formats/interlaced_mpeg2_720x576.ts", "solid", 2, 0.7),
    ("formats/rotated90_480x640.mp4", "smooth", 2, 1.3),
]


def assert_same(one: Path, other: Path) -> float:
    """Boxes, tracks and headers are equal; gives the largest difference between landmarks, in pixels."""
    (a, header_a), (b, header_b) = rows_of(one), rows_of(other)
    for name in COLUMNS:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert header_a.seen.pts_sha256 == header_b.seen.pts_sha256
    assert header_a.seen.rows_sha256 == header_b.seen.rows_sha256
    looked_a, looked_b = header_a.faces.pop("looks"), header_b.faces.pop("looks")
    assert (header_a.faces, header_a.damage) == (header_b.faces, header_b.damage)
    assert looked_a["total"] <= looked_b["total"]
    if not len(a) or not a.landmarks.shape[1]:
        return 0.0
    assert np.array_equal(np.isnan(a.landmarks), np.isnan(b.landmarks))
    return float(np.nanmax(np.abs(a.landmarks - b.landmarks)))


def whole(work: Work) -> Path:
    """The faces of the video, looked at in one go."""
    path = work.folder / "whole.parquet"
    looking = config(from_s=work.plan.from_s, to_s=work.plan.to_s)
    analyze_video(str(work.source), str(path), looking, landmarks=work.plan.landmarker is not None)
    return path


@pytest.mark.parametrize(("name", "effect", "seconds", "phase"), CUTS)
def test_faces_do_not_depend_on_where_the_cuts_are(
    media: Path, tmp_path: Path, name: str, effect: str, seconds: float, phase: float
) -> None:
    work = Work(media / name, tmp_path, effect, suffix=".mkv", encode={"codec": "libx264"})
    work.make(cut_every(work.info, seconds, phase))
    report = work.stitch()
    assert assert_same(whole(work), work.faces) <= 0.05
    assert report.split == 0


def test_a_long_video_cut_at_20_seconds_and_not_at_all(media: Path, tmp_path: Path) -> None:
    """The same walk again and again, so that somebody is on the edge of a segment of 20 seconds."""
    source = looped(media / "clips/three_walk_pause_480x270.mp4", tmp_path / "long.mkv", 23.0)
    work = Work(source, tmp_path, "solid")
    expected = whole(work)
    for spans in (cut_every(work.info, 20), cut_at([])):
        work.make(spans)
        work.stitch()
        assert assert_same(expected, work.faces) == 0


def looped(source: Path, target: Path, seconds: float) -> Path:
    """The frames of a short clip at ten a second, over and over."""
    with av.open(str(source)) as file, av.open(str(target), "w") as output:
        frames = list(file.decode(video=0))
        video = output.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "30"})
        video.width, video.height, video.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for number in range(round(10 * seconds)):
            frame = frames[number % len(frames)]
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 10), 0
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return target


def test_frames_far_apart_are_margin_enough(media: Path, tmp_path: Path) -> None:
    """Two seconds may hold no frame at all; a margin then ends with one."""
    source = tmp_path / "sparse.mkv"
    rng, at = np.random.default_rng(2), 0
    with av.open(str(media / "clips/pair_headpose_480x270.mp4")) as file, av.open(str(source), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "10"})
        video.width, video.height, video.pix_fmt = 480, 270, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        times = []
        for frame in file.decode(video=0):
            frame.pts, frame.time_base, frame.pict_type = at, Fraction(1, 1000), 0
            times.append(at)
            at += int(rng.choice([40, 40, 200, 700, 2500]))
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    work = Work(source, tmp_path, "smooth")
    work.make(cut_at(times[5:-1:7]))
    assert work.stitch().split == 0
    assert assert_same(whole(work), work.faces) <= 0.05


def test_segments_of_an_excerpt_lie_within_it(media: Path, tmp_path: Path) -> None:
    """The grids of looks begin with the excerpt, which only the first segment sees."""
    from facefx.pipeline.stitch import spans_of

    source = media / "formats/start_offset_3600s_640x360.ts"
    work = Work(source, tmp_path, "smooth", from_s=0.7, to_s=4.1)
    spans = spans_of(source, work.info, 1.0, 0.7, 4.1)
    assert len(spans) > 1
    assert len({span.first for span in spans}) == 1
    results = work.make(spans)
    assert work.stitch().frames == sum(result.frames for result in results) == round(3.4 * 30)
    assert assert_same(whole(work), work.faces) <= 0.05


def test_no_batch_straddles_a_cut_and_margins_are_bounded(media: Path, tmp_path: Path) -> None:
    work = Work(media / "formats/bench_720p.mp4", tmp_path, "smooth")
    lo, hi = (work.info.video.start_pts + round(s / work.info.video.format.time_base) for s in (6, 7))
    job = work.job(Span(1, 3, lo, hi))
    source = make_source(job)
    source.setup()
    batches = [item.batch for item in source.items()]
    source.close()
    base = float(work.info.video.format.time_base)
    assert all(batch.pts[-1] < edge or batch.pts[0] >= edge for batch in batches for edge in (lo, hi))
    assert [job.owns(batch) for batch in batches].count(True) == 2
    assert 2.0 <= (lo - batches[0].pts[0]) * base <= 2.05
    policy, leap_s = work.plan.policy, work.plan.landmarker.leap_s if work.plan.landmarker else 0
    assert (batches[-1].pts[-1] - hi) * base <= policy.look_ahead_s + 2 * leap_s + 0.15
    assert source.told["decoded"] == source.told["expected"] == 30


def test_work_of_the_margins_gets_no_patches_and_nobody_looks_longer_than_needed(
    media: Path, tmp_path: Path
) -> None:
    work = Work(media / "formats/fps60_640x360.mp4", tmp_path, "smooth", "solid")
    base = work.info.video.format.time_base
    job = work.job(Span(1, 3, round(2.5 / base), round(3 / base)))
    with Nets() as nets:
        stages = [make_stage(name, job, nets) for name in stage_names(job)[1:-1]]
        runner = InlineRunner(make_source(job), stages, Ledger(stage_names(job)))
        out = list(runner.stream())
    assert {job.owns(item.batch) for item in out if item.patches} == {True}
    assert {job.owns(item.batch) for item in out if not item.patches} == {False}
    assert stages[0].told["frames"] == sum(len(item.batch) for item in out if job.owns(item.batch))
    topologies = [item.faces.topology for item in out if item.faces is not None]
    looked, left = out[topologies.index("mediapipe-468")], out[len(topologies) - 1]
    assert float((job.own[0] - looked.batch.pts[0]) * base) >= 2
    assert topologies[-1] == "", "a third of a second behind is enough for landmarks, not so for boxes"
    last = max(i for i, topology in enumerate(topologies) if topology)
    assert float((out[last].batch.pts[-1] - job.own[1]) * base) <= 0.34 + 0.3
    assert float((left.batch.pts[-1] - job.own[1]) * base) > 1.5


@pytest.mark.parametrize("name", ["clips/three_walk_pause_480x270.mp4", "formats/fps2997_640x360.mp4"])
def test_boxes_are_certain_before_anybody_says_that_the_segment_ends(
    media: Path, tmp_path: Path, name: str
) -> None:
    """What is only concluded at the end is concluded as if the video ended there."""
    work = Work(media / name, tmp_path)
    base, start = work.info.video.format.time_base, work.info.video.start_pts
    for tenths in range(8, 16):
        job = work.job(Span(0, 2, None, start + round(tenths / 10 / base)))
        with Nets() as nets:
            source, detect = make_source(job), make_stage("detect", job, nets)
            source.setup()
            detect.setup()
            out = [ready for item in source.items() for ready in detect.process(item)]
            source.close()
        assert sum(len(item.batch) for item in out if job.owns(item.batch)) == source.told["decoded"]
        assert not job.owns(out[-1].batch), "the frame that closes a window of landmarks is certain too"


def test_a_margin_begins_with_the_frame_that_is_shown_then_and_ends_with_one(tmp_path: Path) -> None:
    """At a frame every three seconds, two seconds before the cut no new one has come."""
    work = Work(make_video(tmp_path / "in.mp4", count=12, rate=1, step=3 * 12800), tmp_path)
    source = make_source(work.job(Span(1, 3, 5 * 38400, 6 * 38400)))
    source.setup()
    times = [pts // 38400 for item in source.items() for pts in item.batch.pts.tolist()]
    source.close()
    assert times == [4, 5, 6, 7, 8]


def test_what_is_not_a_stage_of_the_plan_is_refused(media: Path, tmp_path: Path) -> None:
    work = Work(media / "formats/one_frame_640x360.mp4", tmp_path)
    job = work.job(cut_at([])[0])
    assert stage_names(job) == ("decode", "detect", "blend", "encode")
    with Nets() as nets, pytest.raises(StageError, match="has no stage 'landmark'"):
        make_stage("landmark", job, nets)


def test_a_segment_of_one_frame(media: Path, tmp_path: Path) -> None:
    work = Work(media / "formats/fps2997_640x360.mp4", tmp_path, "smooth")
    step = round(1001 / 30000 / work.info.video.format.time_base)
    results = work.make(cut_at([40 * step, 41 * step]))
    assert [result.frames for result in results] == [40, 1, 109]
    work.stitch()
    assert assert_same(whole(work), work.faces) <= 0.05


def test_nets_are_loaded_once_and_stay_loaded(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def counted(name: str) -> Any:
        load = getattr(nets_module, name)

        def loading(spec: Any) -> Any:
            loaded.append(name)
            return load(spec)

        return loading

    for name in ("make_detector", "load_mesh"):
        monkeypatch.setattr(nets_module, name, counted(name))
    work = Work(media / "clips/pair_headpose_480x270.mp4", tmp_path, "smooth")
    with Nets() as nets:
        for span in cut_every(work.info, 2):
            run_segment(work.job(span), nets)
    assert loaded == ["make_detector", "load_mesh"]
    assert make_detector(work.plan.detector).name == work.plan.detector.name


def test_jobs_and_results_cross_processes(media: Path, tmp_path: Path) -> None:
    work = Work(media / "formats/one_frame_640x360.mp4", tmp_path)
    (result,) = work.make(cut_at([]))
    assert SegmentResult.from_json(result.to_json()) == result == pickle.loads(pickle.dumps(result))
    job = work.job(cut_at([])[0])
    assert pickle.loads(pickle.dumps(job)) == job
    assert (result.frames, result.faces and result.faces["frames"], result.effects["frames"]) == (1, 1, 1)
    assert [row["stage"] for row in result.stages] == ["decode", "detect", "blend", "encode"]


def test_a_segment_that_fails_leaves_nothing(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(media / "formats/truncated_faststart.mp4", tmp_path)
    monkeypatch.setattr("facefx.effects.chain.EffectChain.frame", lambda *_: 1 / 0)
    with Nets() as nets, pytest.raises(StageError, match="stage blend failed: ZeroDivisionError"):
        run_segment(work.job(cut_at([])[0]), nets)
    assert list(tmp_path.iterdir()) == []


def test_a_segment_that_fails_at_its_very_end_leaves_nothing(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then every stage is closed, and only the names are missing."""

    def finish(*_: object) -> None:
        raise SinkError("no space left")

    monkeypatch.setattr("facefx.faces.table.TableWriter.finish", finish)
    work = Work(media / "formats/one_frame_640x360.mp4", tmp_path)
    with Nets() as nets, pytest.raises(SinkError, match="no space left"):
        run_segment(work.job(cut_at([])[0]), nets)
    assert list(tmp_path.iterdir()) == []


def test_damage_of_a_segments_own_frames_fails_it(media: Path, tmp_path: Path) -> None:
    work = Work(media / "formats/bitflips_640x360.mp4", tmp_path)
    with Nets() as nets, pytest.raises(DamagedError, match="on-damage keep"):
        run_segment(work.job(cut_every(work.info, 2)[1]), nets)
    assert list(tmp_path.iterdir()) == []


def test_the_frame_before_the_cut_is_kept_for_linking(media: Path, tmp_path: Path) -> None:
    work = Work(media / "clips/pair_headpose_480x270.mp4", tmp_path)
    spans = cut_every(work.info, 2)
    work.make(spans)
    last, _ = rows_of(tmp_path / "0.faces")
    boxes = last.xyxy[last.frame == last.frame[-1]].tolist()
    before = Piece(tmp_path / "1.piece").head.note["before"]
    assert sorted(box for _, *box in before) == sorted(boxes)
    assert len(boxes) == 2
    assert Piece(tmp_path / "0.piece").head.note["before"] == []


@pytest.mark.parametrize("effects", [("solid",), ("smooth", "pixelate")], ids=str)
def test_faces_from_a_table_give_the_pictures_of_looking(
    media: Path, tmp_path: Path, effects: tuple[str, ...]
) -> None:
    """Tracks have other numbers in a segment than in the table, which these effects do not show."""
    source = media / "clips/three_walk_pause_480x270.mp4"
    looking = Work(source, tmp_path, *effects)
    spans = cut_every(looking.info, 2, 1.0)
    looking.make(spans)
    looking.stitch()
    folder = tmp_path / "again"
    folder.mkdir()
    again = Work(source, folder, *effects)
    results = again.make(spans, table=looking.faces)
    report = again.stitch(table=looking.faces)
    assert [result.faces for result in results] == [None] * len(spans)
    assert [result.faces_sha256 for result in results] == [""] * len(spans)
    assert report.faces == looking.report.faces
    assert report.frames == looking.info.video.frames_expected
    assert again.output.read_bytes() == looking.output.read_bytes()


def test_only_the_groups_of_rows_that_a_segment_needs_are_read(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facefx.faces.table._GROUP_ROWS", 20)
    from facefx.faces.kept import FacesTable

    work = Work(media / "clips/three_walk_pause_480x270.mp4", tmp_path)
    path = whole(work)
    everything, header = rows_of(path)
    lo, hi = int(everything.pts[60]), int(everything.pts[80])
    with FacesTable(path) as table:
        part = Faces.join(list(table.rows(landmarks=False, only=(lo, hi))))
        table.check_rows()
    assert header.seen.rows > len(part)
    assert len(part) <= 60
    assert part.pts[0] <= lo
    assert hi <= part.pts[-1] or len(part) == len(everything)
