"""Segments into one video: cut where nobody sees it, put together so that nobody can tell.

The ordinary output of a run, with the same streams, clocks and tags beside the picture, whose packets come
from pieces instead of an encoder. It is verified like any other output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facefx.errors import DamagedError, FidelityError, PieceError
from facefx.pipeline.faces_count import FacesCount, FacesCounter, Passage
from facefx.pipeline.plan import Plan
from facefx.pipeline.span import Span
from facefx.video.cuts import cut_video
from facefx.video.damage import Damage
from facefx.video.fidelity import Contract, FidelityReport, verify
from facefx.video.info import MediaInfo
from facefx.video.output import SinkReport
from facefx.video.source import VideoSource, window_of

if TYPE_CHECKING:
    from facefx.faces.table import TableHeader, VideoFacts
    from facefx.video.piece import Piece

__all__ = ["StitchReport", "spans_of", "stitch"]


@dataclass(frozen=True, slots=True)
class StitchReport:
    """The account of one video that was put together.

    faces, review, header: of the table of faces, None and empty where there is none; review: what a person
    should look at, worst first, and review_more: how many passages it leaves out. split: tracks that could
    not be followed across a cut.
    """

    frames: int
    damage: Damage
    sink: SinkReport
    fidelity: FidelityReport
    faces: FacesCount | None = None
    review: tuple[Passage, ...] = ()
    review_more: int = 0
    header: TableHeader | None = None
    split: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "frames": self.frames,
            "damage": asdict(self.damage),
            "carried": {
                "packets_by_stream": {str(stream): n for stream, n in self.sink.copied.items()},
                "removed": [asdict(extra) for extra in self.sink.removed],
                "dropped_tags": list(self.sink.dropped_tags),
            },
            "fidelity": self.fidelity.to_json(),
            "faces": None if self.faces is None else self.faces.to_json(),
            "review": [asdict(passage) for passage in self.review],
            "review_more": self.review_more,
            "split": self.split,
        }


def spans_of(
    local: Path,
    info: MediaInfo,
    segment_s: float | None,
    from_s: float | None = None,
    to_s: float | None = None,
) -> tuple[Span, ...]:
    """Cut a video, or an excerpt of it, into segments at keyframes.

    segment_s: how long each lasts at most, where there are keyframes enough; None: one for all.

    Raises ConfigError, SourceError.
    """
    low, high = window_of(info, from_s, to_s)
    cuts = () if segment_s is None else cut_video(local, info, segment_s, low, high)
    first = None if low is None else _first_frame(local, info, from_s, to_s)
    edges = [low, *cuts, high]
    return tuple(
        Span(number, len(edges) - 1, lo, hi, first) for number, (lo, hi) in enumerate(pairwise(edges))
    )


def _first_frame(local: Path, info: MediaInfo, from_s: float | None, to_s: float | None) -> int | None:
    """The pts with which an excerpt begins, as whoever decodes it will see it."""
    with VideoSource(local, on_damage="keep", from_s=from_s, to_s=to_s, batch_frames=1, info=info) as source:
        batch = next(source.batches(), None)
        return None if batch is None else int(batch.pts[0])


def stitch(
    local: Path,
    info: MediaInfo,
    plan: Plan,
    segments: Sequence[tuple[Path, Path | None]],
    target: Path,
    faces_target: Path | None,
    *,
    name: str | None = None,
    sha256: str | None = None,
    table: Path | None = None,
) -> StitchReport:
    """Put a video together from its segments' pieces and faces, all of them, in order of time.

    Pieces are read one after another, a few megabytes at a time. target: its suffix names the container.
    faces_target: where the table of faces goes; None where nobody looked, with `table` the one that the faces
    came from, which is then counted instead. name, sha256: of the source, where they are known already.

    Raises PieceError and FacesError for segments that are damaged or of other work, DamagedError where they
    hold less than the file promises, FidelityError where they do not fit each other or the output breaks
    the contract, SinkError. Then nothing stands under either name.
    """
    from facefx.video.piece import Piece  # with it comes pyarrow, which whoever only cuts does not need

    pieces = [Piece(path) for path, _ in segments]
    _check_pieces(pieces, info, plan)
    damage = _damage_of(pieces, info, plan)
    try:
        written = _write(pieces, replace(info, path=str(local)), plan, target)
        checked = verify(local, target, _contract(plan, written, damage))
        checked.raise_if_broken()
        report = StitchReport(written.frames, damage, written, checked)
        if faces_target is not None:
            from facefx.pipeline.kept import video_facts

            video = video_facts(local, name or local.name, info, sha256)
            tables = [path for _, path in segments if path is not None]
            return _with_faces(report, list(zip(pieces, tables, strict=True)), faces_target, plan, video)
        return report if table is None else _with_kept(report, table, info, plan)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _check_pieces(pieces: Sequence[Piece], info: MediaInfo, plan: Plan) -> None:
    """See that these are all the pieces of this plan, in order, each within its own range."""
    edge, end = window_of(info, plan.from_s, plan.to_s)
    for number, piece in enumerate(pieces):
        head, note = piece.head, piece.head.note
        if note["plan"] != plan.digest:
            raise _odd(piece, "plan", plan.digest, note["plan"])
        span = [number, len(pieces), edge]
        if note["span"][:3] != span:
            raise _odd(piece, "segment (number, of how many, from pts)", span, note["span"][:3])
        if head.time_base != info.video.format.time_base:
            raise _odd(piece, "time base", info.video.format.time_base, head.time_base)
        if head.encoder != plan.encode.encoder:
            raise _odd(piece, "encoder", plan.encode.encoder, head.encoder)
        edge = note["span"][3]
        if head.pts_first is None or head.pts_last is None:
            continue
        lo = note["span"][2]
        if lo is not None and head.pts_first < lo:
            raise _odd(piece, "its first frame from pts", lo, head.pts_first)
        if edge is not None and head.pts_last >= edge:
            raise _odd(piece, "its last frame before pts", edge, head.pts_last)
    if not pieces or edge != end:
        raise PieceError(
            f"{info.path}: the segments end at pts {edge}, expected {'the end' if end is None else end}; "
            "name all of them, in order"
        )


def _odd(piece: Piece, what: str, expected: object, got: object) -> PieceError:
    return PieceError(f"{piece.name}: {what}: expected {expected}, got {got}; make the segment again")


def _damage_of(pieces: Sequence[Piece], info: MediaInfo, plan: Plan) -> Damage:
    """What of the source could not be read: each segment has counted its own range.

    Raises DamagedError, unless the plan keeps what is readable.
    """
    parts = [Damage(**piece.head.note["damage"]) for piece in pieces]
    # A segment begins with a keyframe: one without any frame lies behind the end of a file that was cut off.
    expected = sum(max(part.expected, number > 0) for number, part in enumerate(parts))
    if plan.from_s is None and plan.to_s is None:
        expected = max(expected, info.video.frames_expected)
    total = {
        field.name: sum(getattr(part, field.name) for part in parts)
        for field in fields(Damage)
        if field.name != "first_at_s"
    }
    firsts = [part.first_at_s for part in parts if part.first_at_s is not None]
    damage = Damage(**{**total, "expected": expected}, first_at_s=min(firsts, default=None))
    if damage and plan.on_damage == "fail":
        raise DamagedError(
            f"{info.path}: {damage}; get a better copy, or save what is readable with --on-damage keep",
            decoded=damage.decoded,
            expected=damage.expected,
        )
    return damage


def _write(pieces: Sequence[Piece], info: MediaInfo, plan: Plan, target: Path) -> SinkReport:
    """Write the output, with the pieces' packets for its picture."""
    from facefx.video.packet_sink import PacketSink

    with PacketSink(target, info, plan.sink_settings, plan.from_s, plan.to_s) as sink:
        for piece in pieces:
            if piece.head.packets and piece.head.extradata != sink.extradata:
                raise FidelityError(
                    f"{piece.name}: its packets need another header than the output has: expected "
                    f"{sink.extradata.hex()}, got {piece.head.extradata.hex()}; make the segments and the "
                    "output with the same facefx and the same encoder"
                )
        sink.write(
            (packet for piece in pieces for packet in piece.packets()),
            max(piece.head.delay for piece in pieces),
            sum(piece.head.patched for piece in pieces),
        )
        return sink.finish()


def _contract(plan: Plan, written: SinkReport, damage: Damage) -> Contract:
    return Contract(
        audio=plan.audio,
        metadata=plan.metadata,
        from_s=plan.from_s,
        to_s=plan.to_s,
        removed=frozenset(extra.stream for extra in written.removed if extra.stream is not None),
        codec=plan.encode.codec,
        on_damage=plan.on_damage,
        readable=damage.decoded if plan.on_damage == "keep" else None,
        written=written.frames,
    )


def _with_faces(
    report: StitchReport, parts: Sequence[tuple[Piece, Path]], target: Path, plan: Plan, video: VideoFacts
) -> StitchReport:
    """Put the tables of faces together too."""
    from facefx.pipeline.stitch_faces import stitch_faces

    counter = FacesCounter(plan.policy.high, Fraction(video.time_base), Fraction(video.start))
    stitched = stitch_faces(parts, target, plan, video, report.damage, counter)
    return replace(
        report,
        faces=counter.count,
        review=counter.review,
        review_more=counter.review_more,
        header=stitched.header,
        split=stitched.split,
    )


def _with_kept(report: StitchReport, table: Path, info: MediaInfo, plan: Plan) -> StitchReport:
    """Count what was taken from a table that an earlier run kept."""
    from facefx.pipeline.stitch_faces import count_rows

    counter = FacesCounter(plan.policy.high, info.video.format.time_base, info.start)
    header = count_rows(table, counter, *window_of(info, plan.from_s, plan.to_s))
    return replace(
        report,
        faces=counter.count,
        review=counter.review,
        review_more=counter.review_more,
        header=header,
    )
