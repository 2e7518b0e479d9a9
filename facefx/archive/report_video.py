"""One video's line in the report of an archive, and what opens below it."""

from __future__ import annotations

from dataclasses import dataclass

from facefx.archive.contact import clock
from facefx.archive.records import CommitRecord
from facefx.archive.report_parts import amount, bulk, facts, lasting, link, plural, said, when
from facefx.pipeline.faces_count import Passage

__all__ = ["Beside", "look", "moment", "video_line"]

_LOOKS = {"low_confidence": "barely a face", "long_fill": "out of sight"}
_SHOWN_LOOKS = 12


@dataclass(frozen=True, slots=True)
class Beside:
    """Where things lie, as seen from the report: folders that end in "/", and the manifest's name."""

    sheets: str = "sheets/"
    outputs: str = "../"
    manifest: str = "manifest.parquet"


def moment(item: Passage, record: CommitRecord, beside: Beside) -> str:
    """A passage's times, as a link to the output shortly before."""
    words = f"{clock(item.from_s)} – {clock(item.to_s)}"
    if record.output is None:
        return words
    return link(beside.outputs, record.output.relative, words, f"#t={max(item.from_s - 1, 0):.1f}")


def look(item: Passage) -> str:
    """Why a passage should be looked at."""
    value = f"{item.value:.1f} s" if item.kind == "long_fill" else f"confidence {item.value:.2f}"
    return f"{_LOOKS[item.kind]}, {value}"


def video_line(record: CommitRecord, beside: Beside) -> str:
    """A line of the list of videos."""
    faces, looks = record.faces, len(record.review) + record.review_more
    cells = [
        ("", lasting(record.duration_s)),
        ("frames", amount(record.frames)),
        ("faces", amount(faces.tracks)),
        ("gap", f"{faces.longest_gap_s:.1f} s"),
        ("to look at", amount(looks) if looks else "–"),
    ]
    if record.output is None:
        cells = [(unit, "–") for unit, _ in cells]
    written = bulk(record.output.size_bytes) if record.output else "–"
    cells.append(("", f"{bulk(record.source.size_bytes)} → {written}"))
    told = "".join(
        f'<span class="n">{value}{f"<span class=u> {unit}</span>" if unit else ""}</span>'
        for unit, value in cells
    )
    return (
        f'<details class="video {record.status}"{" data-look" if looks else ""}><summary class="row">'
        f'<span class="name">{said(record.source.relative)}</span>'
        f'<span class="state">{record.status}</span>{told}</summary>\n{_inside(record, beside)}</details>\n'
    )


def _inside(record: CommitRecord, beside: Beside) -> str:
    """What opens below a video's line."""
    faces, output = record.faces, record.output
    sheet = ""
    if output is not None:
        sheet = (
            f'<img class="sheet" loading="lazy" alt="contact sheet of the output" '
            f'src="{beside.sheets}{record.key}.jpg">'
        )
    looks = "; ".join(f"{moment(item, record, beside)} {look(item)}" for item in record.review[:_SHOWN_LOOKS])
    more = len(record.review) + record.review_more - _SHOWN_LOOKS
    frames = (
        f"{amount(faces.face_frames)} with faces, {amount(faces.unsure_frames)} unsure, "
        f"{amount(faces.filled_frames)} across {plural(faces.filled_gaps, 'gap')}, "
        f"{amount(faces.held_frames)} before or after all sight"
    )
    rows = [
        ("output", link(beside.outputs, output.relative, said(output.relative)) if output else ""),
        ("source", said(record.source.url)),
        ("sha256 in", _hash(record.source.sha256)),
        ("sha256 out", _hash(output.sha256 if output else "")),
        ("plan", _hash(record.plan_sha256)),
        ("frames", frames if output else ""),
        ("look at", looks + (f"; and {amount(more)} more" if more > 0 else "")),
        ("notes", "<br>".join(said(note) for note in record.notes)),
        ("not done", said(record.reason) if record.reason else ""),
        ("settled", f"{said(when(record.run.finished_at))}, {lasting(record.run.cpu_s)} of CPU time"),
    ]
    return f'<div class="inside">{sheet}{facts(rows)}</div>'


def _hash(digest: str) -> str:
    return f'<span class="hash">{said(digest)}</span>' if digest else ""
