"""What is put together from segments is the output of a run: nothing lost, nothing twice, nothing moved."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from segment_makers import Work, config, cut_at, cut_every, quick_plan
from video_makers import data_packet, make_video, pictures, same, sounds

from facefx.errors import DamagedError, FacesError, FidelityError, PieceError, SinkError
from facefx.pipeline.run import run_video
from facefx.pipeline.segment import Nets, SegmentJob, Span, run_segment
from facefx.pipeline.stitch import spans_of
from facefx.video.fidelity import Contract, verify
from facefx.video.piece import Piece, PieceWriter
from facefx.video.probe import probe

MS = Fraction(1, 1000)

GOOD = [
    "audio_shorter_640x360.mp4", "av1_640x360.mp4", "fps2997_640x360.mp4", "fps60_640x360.mp4",
    "fragmented_640x360.mp4", "full_range_640x360.mp4", "gray_640x360.mp4", "h264_aac_640x360.flv",
    "hevc_10bit_640x360.mp4", "hevc_10bit_pq_tagged_640x360.mp4", "interlaced_mpeg2_720x576.ts",
    "interlaced_tff_sar_720x576.mp4", "not_mult16_642x362.mp4", "odd_641x359_h264_444.mp4",
    "odd_641x359_vp9.webm", "one_frame_640x360.mp4", "prores_422_10bit_480x270.mov",
    "rotated180_640x480.mp4", "rotated270_480x640.mp4", "rotated90_480x640.mp4",
    "start_offset_3600s_640x360.ts", "tiny_64x36.mp4", "two_audio_640x360.mkv", "vfr_640x360.mp4",
    "vp9_opus_640x360.webm",
]  # fmt: skip
ELSEWHERE = [
    ("vfr_640x360.mp4", ".mkv"), ("start_offset_3600s_640x360.ts", ".mp4"), ("two_audio_640x360.mkv", ".mp4"),
]  # fmt: skip
# Twelve seconds of five frames each, so that margins begin and end at other groups of pictures.
SLOW: dict[str, Any] = {"count": 60, "rate": 5, "step": 2560, "size": (96, 64)}
X265 = "log-level=none:pools=none:frame-threads=1:keyint=12:min-keyint=12:open-gop=1:bframes=4:scenecut=0"
OPEN: dict[str, dict[str, Any]] = {
    "h264.mp4": {"options": {"preset": "veryfast", "g": "12", "x264-params": "open-gop=1:scenecut=0"}},
    "h264.ts": {"options": {"preset": "veryfast", "g": "12", "x264-params": "open-gop=1:scenecut=0"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": X265}},
    "hevc.mkv": {"codec": "libx265", "options": {"x265-params": X265}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "12", "deadline": "realtime", "cpu-used": "8"}},
}
LOSSLESS: dict[str, Any] = {"encode": {"lossless": True, "codec": "libx264"}}


def held(work: Work) -> None:
    """See with fresh eyes that the output is the input."""
    contract = Contract(codec=work.plan.encode.codec, written=work.info.video.frames_expected)
    verify(work.source, work.output, contract, decode="full").raise_if_broken()


@pytest.mark.parametrize("name", GOOD)
def test_every_good_file_keeps_the_contract(media: Path, tmp_path: Path, name: str) -> None:
    work = Work(media / "formats" / name, tmp_path)
    spans = cut_every(work.info, 2, 1.1)
    results = work.make(spans)
    report = work.stitch()
    assert report.frames == sum(result.frames for result in results) == work.info.video.frames_expected
    assert report.split == 0
    assert not report.damage
    held(work)


@pytest.mark.parametrize(("name", "suffix"), ELSEWHERE)
def test_another_kind_of_container(media: Path, tmp_path: Path, name: str, suffix: str) -> None:
    work = Work(media / "formats" / name, tmp_path, suffix=suffix)
    work.make(cut_every(work.info, 2, 1.1))
    work.stitch()
    held(work)


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("at", ["keyframes", "anywhere"])
def test_every_picture_is_there_once_and_whole(tmp_path: Path, name: str, at: str) -> None:
    """Leading pictures of an open group lie behind the cut in the file, and before it in time."""
    source = make_video(tmp_path / name, **SLOW, **OPEN[name])
    work = Work(source, tmp_path, suffix=".mp4" if name.endswith("mp4") else ".mkv", **LOSSLESS)
    spans = spans_of(source, work.info, 2.4) if at == "keyframes" else cut_every(work.info, 3, 1.3)
    assert len(spans) == 5
    work.make(spans)
    work.stitch()
    expected, got = pictures(source)[1], pictures(work.output)[1]
    assert len(expected) == len(got) == 60
    assert all(same(one, other) for one, other in zip(expected, got, strict=True))


def test_decoding_times_are_made_anew_over_the_cuts(tmp_path: Path) -> None:
    """Each encoder begins its clock before its first picture: by seconds, where frames are far apart."""
    times = [40 * i for i in range(30)] + [1200 + 700 * i for i in range(12)]
    source = make_video(tmp_path / "in.mkv", count=42, pts=times, base=MS, step=40)
    work = Work(source, tmp_path, encode={"preset": "veryfast", "codec": "libx264"})
    work.make(cut_at([1200, 1200 + 700 * 6]))
    assert {Piece(path).head.delay for path, _ in work.parts} == {2}
    last = Piece(work.parts[0][0]).head.pts_last
    assert last is not None
    assert next(Piece(work.parts[1][0]).packets()).dts < last - 200
    work.stitch()
    held(work)
    assert [round(1000 * time) for time in pictures(work.output)[0]] == times


def test_one_segment_gives_the_bytes_of_a_run(media: Path, tmp_path: Path) -> None:
    source = media / "formats/two_audio_640x360.mkv"
    work = Work(source, tmp_path)
    work.make(spans_of(source, work.info, None))
    work.stitch()
    ran = tmp_path / "ran.mkv"
    run_video(str(source), str(ran), config(encode={"preset": "ultrafast"}))
    assert work.output.read_bytes() == ran.read_bytes()


def make_alone(job: SegmentJob) -> None:
    with Nets() as nets:
        run_segment(job, nets, threads=2)


def test_bytes_do_not_depend_on_order_threads_or_process(media: Path, tmp_path: Path) -> None:
    """Also where one process has made other segments before, with the same nets."""
    source = media / "formats/start_offset_3600s_640x360.ts"
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder in folders:
        folder.mkdir()
    here, there = (Work(source, folder, "smooth", "pixelate") for folder in folders)
    spans = cut_every(here.info, 2)
    here.make(spans[::-1])
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        pool.map(make_alone, [there.job(span) for span in spans])
    there.parts = [(there.job(span).piece, there.job(span).faces) for span in spans]
    here.stitch()
    there.stitch()
    for number in range(len(spans)):
        for kind in ("piece", "faces"):
            one, other = (folder / f"{number}.{kind}" for folder in folders)
            assert one.read_bytes() == other.read_bytes(), f"{number}.{kind}"
    assert here.output.read_bytes() == there.output.read_bytes()
    assert here.faces.read_bytes() == there.faces.read_bytes()


def test_a_stitched_table_renders_the_video(media: Path, tmp_path: Path) -> None:
    """What a whole analysis is good for, the faces of segments are good for."""
    source = media / "clips/three_walk_pause_480x270.mp4"
    work = Work(source, tmp_path)
    work.make(cut_every(work.info, 2, 0.9))
    work.stitch()
    ran, rendered = tmp_path / "ran.mp4", tmp_path / "rendered.mp4"
    quick = config(encode={"preset": "ultrafast"})
    report = run_video(str(source), str(ran), quick)
    again = run_video(str(source), str(rendered), quick, faces=str(work.faces))
    assert ran.read_bytes() == rendered.read_bytes()
    summary = work.report.faces
    assert summary is not None
    assert again.faces["tracks"] == report.faces["tracks"] == summary.tracks
    assert report.faces["frames_with_faces"] == summary.face_frames
    assert report.faces["frames_unsure"] == summary.unsure_frames
    assert report.faces["frames_held"] == summary.held_frames
    assert report.faces["longest_gap_s"] == pytest.approx(summary.longest_gap_s, abs=0.001)


@pytest.fixture
def three(media: Path, tmp_path: Path) -> Work:
    """A short clip in three segments, made and not yet put together."""
    work = Work(media / "formats/not_mult16_642x362.mp4", tmp_path)
    work.make(cut_every(work.info, 1))
    assert len(work.parts) == 3
    return work


def nothing_is_left(work: Work) -> None:
    assert not work.output.exists()
    assert not work.faces.exists()


@pytest.mark.parametrize("parts", [(0, 1), (1, 2), (0, 2), (0, 2, 1), (0, 1, 1, 2), ()], ids=str)
def test_segments_that_are_missing_twice_or_out_of_order_are_refused(
    three: Work, parts: tuple[int, ...]
) -> None:
    three.parts = [three.parts[i] for i in parts]
    with pytest.raises(PieceError, match="segment"):
        three.stitch()
    nothing_is_left(three)


def test_a_piece_with_a_flipped_bit_is_refused(three: Work) -> None:
    piece = three.parts[1][0]
    data = bytearray(piece.read_bytes())
    data[len(data) // 2] ^= 1
    piece.write_bytes(data)
    with pytest.raises(PieceError, match=r"1\.piece: was changed after it was made"):
        three.stitch()
    nothing_is_left(three)


def rewrite(path: Path, *, drop: int = 0, **changes: Any) -> None:
    """Make a piece anew, whole and valid, with other facts in it."""
    piece = Piece(path)
    coded, head = list(piece.packets()), replace(piece.head, **changes)
    writer = PieceWriter(path)
    for packet in coded[: len(coded) - drop]:
        writer.write(packet)
    writer.finish(head.encoder, head.time_base, head.extradata, head.patched, head.note)


def test_a_piece_that_lost_its_last_packets_is_refused(three: Work) -> None:
    rewrite(three.parts[1][0], drop=3)
    with pytest.raises(FidelityError, match="expected 90"):
        three.stitch()
    nothing_is_left(three)


def test_a_piece_with_another_header_is_refused(three: Work) -> None:
    """Decoders would read its pictures with the parameters of others, and nothing would complain."""
    extradata = bytearray(Piece(three.parts[2][0]).head.extradata)
    extradata[-3] ^= 1
    rewrite(three.parts[2][0], extradata=bytes(extradata))
    with pytest.raises(FidelityError, match=r"2\.piece: its packets need another header"):
        three.stitch()
    nothing_is_left(three)


def test_a_piece_of_another_plan_is_refused(three: Work) -> None:
    three.plan = quick_plan(three.info, three.output, "pixelate")
    with pytest.raises(PieceError, match=r"0\.piece: plan: expected"):
        three.stitch()


def test_frames_outside_of_a_pieces_range_are_refused(three: Work) -> None:
    note = dict(Piece(three.parts[1][0]).head.note)
    rewrite(three.parts[1][0], note={**note, "span": [1, 3, note["span"][2], note["span"][3] - 9000]})
    with pytest.raises(PieceError, match="its last frame before pts"):
        three.stitch()


def test_a_table_of_faces_of_another_segment_is_refused(three: Work) -> None:
    (first, faces), (second, other), last = three.parts
    three.parts = [(first, other), (second, faces), last]
    with pytest.raises(FacesError, match="is not of its piece"):
        three.stitch()
    nothing_is_left(three)


def test_a_changed_table_of_faces_is_refused(three: Work) -> None:
    faces = three.parts[1][1]
    assert faces is not None
    table, metadata = pq.read_table(faces), pq.read_metadata(faces).metadata
    column = table.schema.get_field_index("x0")
    table = table.set_column(column, table.schema.field(column), pq.read_table(faces)["y0"])
    with pq.ParquetWriter(faces, table.schema.remove_metadata()) as writer:
        writer.write_table(table.replace_schema_metadata(None))
        writer.add_key_value_metadata(metadata)
    with pytest.raises(FacesError, match="rows were changed"):
        three.stitch()
    nothing_is_left(three)


def test_a_file_that_was_cut_off_is_found_out(media: Path, tmp_path: Path) -> None:
    """No segment meets an error: the first has all its frames, and the last has none and knows of none."""
    work = Work(media / "formats/truncated_faststart.mp4", tmp_path)
    base = work.info.video.format.time_base
    results = work.make(cut_at([round(2 / base), round(4 / base)]))
    assert [result.frames for result in results] == [60, 30, 0]
    with pytest.raises(DamagedError, match="90 of 180 frames are readable") as caught:
        work.stitch()
    assert (caught.value.decoded, caught.value.expected) == (90, 180)
    nothing_is_left(work)


def test_an_excerpt_that_lies_behind_the_end_of_a_file_that_was_cut_off_is_found_out(
    media: Path, tmp_path: Path
) -> None:
    """Of an excerpt the file promises nothing; but every segment begins with a frame."""
    work = Work(media / "formats/truncated_faststart.mp4", tmp_path, from_s=1.0, to_s=5.5)
    base = work.info.video.format.time_base
    spans = cut_at([round(2 / base), round(4 / base)], round(1 / base), round(5.5 / base))
    assert [result.frames for result in work.make(spans)] == [30, 30, 0]
    with pytest.raises(DamagedError, match="60 of 61 frames are readable"):
        work.stitch()


@pytest.mark.parametrize("name", ["truncated_faststart.mp4", "bitflips_640x360.mp4"])
def test_what_is_readable_is_kept_and_damage_counted_once(media: Path, tmp_path: Path, name: str) -> None:
    """Margins overlap: what is wrong in them is another segment's to count."""
    source = media / "formats" / name
    work = Work(source, tmp_path, on_damage="keep")
    work.make(cut_every(work.info, 2))
    report = work.stitch()
    whole = run_video(
        str(source), str(tmp_path / "ran.mp4"), config(on_damage="keep", encode={"preset": "ultrafast"})
    )
    counted = {key: getattr(report.damage, key) for key in whole.damage}
    assert counted == whole.damage
    assert report.frames == whole.frames


def test_a_breach_of_the_contract_leaves_nothing(three: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "facefx.pipeline.stitch.Contract", lambda **facts: Contract(**{**facts, "written": 7})
    )
    with pytest.raises(FidelityError, match="differs from"):
        three.stitch()
    nothing_is_left(three)


def test_a_place_that_cannot_be_written_is_named(three: Work, tmp_path: Path) -> None:
    three.output = tmp_path / "nowhere" / "out.mp4"
    with pytest.raises(SinkError, match="does not exist; create it first"):
        three.stitch()


def test_subtitles_chapters_and_tags_come_along(tmp_path: Path) -> None:
    """The stitched file is an output like any other, beside its picture too."""
    chapters = [
        {"id": i, "start": 4000 * i, "end": 4000 * i + 4000, "time_base": MS, "metadata": {"title": f"{i}"}}
        for i in range(3)
    ]
    lines: list[Any] = []

    def before(output: Any, _: Any) -> None:
        output.set_chapters(chapters)
        stream = output.add_mux_stream("subrip")
        stream.time_base = MS
        stream.metadata["language"] = "fra"
        lines.extend(data_packet(stream, b"Bonjour", at, MS, 500) for at in (100, 5900, 11000))

    def during(output: Any, _: Any, number: int) -> None:
        if number in (0, 29, 55):
            output.mux(lines.pop(0))

    source = make_video(
        tmp_path / "in.mkv", **SLOW, before=before, during=during, metadata={"title": "A title"}
    )
    work = Work(source, tmp_path)
    work.make(cut_every(work.info, 3))
    work.stitch()
    held(work)
    out = probe(work.output)
    assert [chapter.title for chapter in out.chapters] == ["0", "1", "2"]
    assert out.metadata["title"] == "A title"
    assert sounds(source, "subtitle") == sounds(work.output, "subtitle")
    assert len(sounds(source, "subtitle")[0]) == 3


def test_spans_cover_the_video_or_the_excerpt_and_nothing_else(media: Path) -> None:
    source = media / "formats/bench_720p.mp4"
    info = probe(source)
    assert spans_of(source, info, None) == (Span(0, 1, None, None),)
    spans = spans_of(source, info, 5.0)
    assert [span.number for span in spans] == list(range(len(spans)))
    assert (spans[0].lo, spans[-1].hi) == (None, None)
    assert all(one.hi == other.lo for one, other in pairwise(spans))
    part = spans_of(source, info, 5.0, 3.0, 17.0)
    base = info.video.format.time_base
    assert [part[0].lo, part[-1].hi] == [int(3 / base), int(17 / base)]
    assert len(part) == 3
    assert {span.first for span in part} == {3 / base}
