"""Faces of segments become those of one video: tracks are linked, numbered anew and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from segment_makers import config, rows_of

from facefx.faces.analysis import analysis_of
from facefx.faces.stats import AnalysisStats
from facefx.faces.table import TableWriter, VideoFacts
from facefx.pipeline.faces_count import FacesCounter, Passage, summed
from facefx.pipeline.plan import make_analysis
from facefx.pipeline.stitch_faces import StitchedFaces, stitch_faces
from facefx.values import Face, Faces, FaceSource
from facefx.video.damage import Damage
from facefx.video.piece import CodedPacket, Piece, PieceWriter

FACTS = VideoFacts("in.mp4", 1, "", "h264", "yuv420p", 100, 80, 0, False, "1", "1/10", "0", 0, 100, 10)
LEFT, RIGHT, FAR = (10.25, 10.0, 20.0, 20.0), (60.0, 10.0, 70.5, 20.0), (80.0, 50.0, 90.0, 60.0)
Box = tuple[float, float, float, float]
Row = tuple[int, int, Box]  # pts, track, box


def part(
    folder: Path, number: int, pts: Sequence[int], rows: Sequence[Row], before: Sequence[Any] = ()
) -> Any:
    """A segment's piece and its table."""
    writer = PieceWriter(folder / f"{number}.piece")
    for time in pts:
        writer.write(CodedPacket(time, time, 1, True, b""))
    writer.finish("ffv1", Fraction(1, 10), b"", 0, {"before": [list(row) for row in before]})
    analysis = analysis_of(make_analysis(config(), landmarks=False))
    table = TableWriter(folder / f"{number}.faces", analysis, FACTS)
    faces = [(pts.index(time), Face(time, track, box, 0.9, FaceSource.DETECTED)) for time, track, box in rows]
    table.add(np.array(pts, np.int64), Faces.from_rows(faces))
    table.finish({**AnalysisStats().to_json(), "frames": len(pts)}, None, asdict(Damage(len(pts), len(pts))))
    return Piece(folder / f"{number}.piece"), folder / f"{number}.faces"


def merged(folder: Path, *parts: Any) -> tuple[list[tuple[int, int, Box]], StitchedFaces, FacesCounter]:
    counter = FacesCounter(0.7, Fraction(1, 10), Fraction(0))
    plan = make_analysis(config(), landmarks=False)
    stitched = stitch_faces(parts, folder / "all", plan, FACTS, Damage(4, 4), counter)
    rows, _ = rows_of(folder / "all")
    boxes = [(box[0], box[1], box[2], box[3]) for box in rows.xyxy.tolist()]
    return list(zip(rows.frame.tolist(), rows.track_id.tolist(), boxes, strict=True)), stitched, counter


def test_a_face_on_both_sides_of_a_cut_is_one_track_whatever_its_number(tmp_path: Path) -> None:
    """Rows stay sorted by track although the second segment numbers the two the other way round."""
    first = part(tmp_path, 0, [0, 1], [(0, 0, LEFT), (1, 0, LEFT), (1, 1, RIGHT)])
    second = part(tmp_path, 1, [2, 3], [(2, 4, RIGHT), (2, 7, LEFT), (3, 7, LEFT)], [(4, *RIGHT), (7, *LEFT)])
    rows, stitched, counter = merged(tmp_path, first, second)
    assert rows == [(0, 0, LEFT), (1, 0, LEFT), (1, 1, RIGHT), (2, 0, LEFT), (2, 1, RIGHT), (3, 0, LEFT)]
    assert (stitched.split, counter.count.tracks, counter.count.face_frames) == (0, 2, 4)
    assert stitched.header.seen.frames == 4
    assert stitched.header.faces["frames"] == 4


def test_new_faces_are_numbered_in_order_of_appearance(tmp_path: Path) -> None:
    first = part(tmp_path, 0, [0, 1], [(0, 3, LEFT)])
    second = part(tmp_path, 1, [2, 3], [(2, 1, FAR), (3, 1, FAR), (3, 2, RIGHT)])
    rows, stitched, _ = merged(tmp_path, first, second)
    assert rows == [(0, 0, LEFT), (2, 1, FAR), (3, 1, FAR), (3, 2, RIGHT)]
    assert stitched.split == 0


def test_a_face_whose_box_differs_on_the_other_side_is_split_and_said_so(tmp_path: Path) -> None:
    first = part(tmp_path, 0, [0, 1], [(1, 0, LEFT)])
    second = part(tmp_path, 1, [2], [(2, 0, LEFT)], [(0, 10.5, *LEFT[1:])])
    gone = part(tmp_path, 2, [3], [], [(0, *FAR)])
    rows, stitched, _ = merged(tmp_path, first, second, gone)
    assert rows == [(1, 0, LEFT), (2, 1, LEFT)]
    assert stitched.split == 1, "one that does not go on behind the cut is none"


def test_a_segment_without_a_frame_does_not_part_its_neighbours(tmp_path: Path) -> None:
    first = part(tmp_path, 0, [0, 1], [(1, 0, LEFT)])
    empty = part(tmp_path, 1, [], [])
    last = part(tmp_path, 2, [3], [(3, 5, LEFT)], [(5, *LEFT)])
    rows, _, _ = merged(tmp_path, first, empty, last)
    assert rows == [(1, 0, LEFT), (2, 0, LEFT)]


def rows(story: Sequence[tuple[int, float, FaceSource]], track: int = 0) -> list[Faces]:
    """One face: (pts, confidence, source) of each of its rows, two rows a call."""
    told = [(pts, Face(pts, track, LEFT, confidence, source)) for pts, confidence, source in story]
    return [Faces.from_rows(told[i : i + 2]) for i in range(0, len(told), 2)]


def count(*calls: Faces) -> FacesCounter:
    counter = FacesCounter(0.7, Fraction(1, 10), Fraction(5))
    for call in calls:
        counter.add(call)
    counter.finish()
    return counter


def test_gaps_are_counted_and_long_ones_are_to_be_looked_at() -> None:
    seen, filled = FaceSource.DETECTED, FaceSource.FILLED
    story = (
        [(100, seen), (101, filled), (102, seen)] + [(pts, filled) for pts in range(103, 109)] + [(109, seen)]
    )
    counter = count(*rows([(pts, 0.9, source) for pts, source in story]))
    assert (counter.count.filled_gaps, counter.count.filled_frames) == (2, 7)
    assert counter.count.longest_gap_s == pytest.approx(0.7)
    assert counter.review == (Passage("long_fill", 5.2, 5.9, 0, 0.7),)


def test_unsure_moments_near_each_other_are_one_passage() -> None:
    seen = FaceSource.DETECTED
    unsure = {100: 0.5, 101: 0.4, 106: 0.6, 130: 0.65}
    counter = count(*rows([(pts, unsure.get(pts, 0.9), seen) for pts in range(100, 140)]))
    assert counter.count.unsure_frames == 4
    assert counter.review == (
        Passage("low_confidence", 5.0, 5.6, 0, 0.4),
        Passage("low_confidence", 8.0, 8.0, 0, 0.65),
    )


def test_only_the_worst_passages_are_kept_and_the_others_counted() -> None:
    story = [(20 * i, 0.001 * i, FaceSource.DETECTED) for i in range(1, 200)]
    counter = count(*rows(story))
    assert (len(counter.review), counter.review_more) == (100, 99)
    assert counter.review[0].value == 0.001
    assert counter.review[-1].value == 0.1


def test_counts_are_added_up_however_deep() -> None:
    parts = [{"a": 1, "b": {"c": 2}}, {"a": 3, "b": {"c": 4, "d": 5}}]
    assert summed(parts) == {"a": 4, "b": {"c": 6, "d": 5}}
