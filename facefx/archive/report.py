"""The report of an archive: one HTML page that opens from disk and says what was done, for whom it concerns.

Contact sheets are files beside it, loaded when they are looked at; nothing else is loaded from anywhere.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facefx.archive.records import CommitRecord, NetUse, RunFacts, need, tail
from facefx.archive.report_parts import (
    amount,
    bulk,
    facts,
    lasting,
    link,
    page,
    plain_json,
    plural,
    said,
    table,
    when,
)
from facefx.archive.report_video import Beside, look, moment, video_line
from facefx.errors import ExitCode
from facefx.pipeline.faces_count import Passage
from facefx.storage import publishing

__all__ = ["Beside", "write_report"]

MOST_VIDEOS = 5000
"""Videos that the page lists; all of them are in the manifest."""

_MOST_PASSAGES, _MOST_FAILED = 200, 500
_LOG_CHARACTERS = 1500
_EXITS = {
    ExitCode.DONE: "every video is done",
    ExitCode.BAD_INPUT: "the request or its inputs cannot be used",
    ExitCode.FIDELITY: "an output was not faithful to its input, and was not published",
    ExitCode.PARTIAL: "some videos were not done; the rest are",
    ExitCode.INTERRUPTED: "interrupted from the keyboard",
    ExitCode.TERMINATED: "told to end",
}


_FILTER = """<div class="filter" hidden>\
<input type="search" placeholder="part of a name" aria-label="part of a name">\
<select aria-label="state"><option value="">all</option>{options}</select>\
<span class="muted"></span></div>
<div class="row head"><span>video</span><span>state</span><span class="n">length</span>\
<span class="n">frames</span><span class="n">faces</span><span class="n">longest gap</span>\
<span class="n">to look at</span><span class="n">read → written</span></div>
"""


@dataclass(slots=True)
class _Tally:
    """Sums over all records; lists of those that need a person most."""

    states: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    frames: int = 0
    tracks: int = 0
    face_frames: int = 0
    gaps: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    cpu_s: float = 0.0
    redone: int = 0
    passages: int = 0
    to_look_at: int = 0
    nets: Counter[NetUse] = field(default_factory=Counter)
    plans: Counter[str] = field(default_factory=Counter)
    versions: Counter[tuple[tuple[str, str], ...]] = field(default_factory=Counter)
    worst: list[tuple[Passage, CommitRecord]] = field(default_factory=list)

    def over(self, records: Iterable[CommitRecord]) -> Iterator[CommitRecord]:
        """Hand records on, counting them; without what the page does not show, since many are kept."""
        for record in records:
            run = replace(record.run, log=tail(record.run.log, _LOG_CHARACTERS))
            slim = replace(record, plan={}, details={}, run=run)
            self._add(slim)
            yield slim

    def _add(self, record: CommitRecord) -> None:
        self.states[record.status] += 1
        self.cpu_s += record.run.cpu_s
        self.redone += record.run.redone
        self.versions[tuple(sorted(record.versions.items()))] += 1
        if record.status != "done":
            return
        self.seconds += record.duration_s
        self.frames += record.frames
        self.tracks += record.faces.tracks
        self.face_frames += record.faces.face_frames
        self.gaps += record.faces.filled_gaps
        self.bytes_in += record.source.size_bytes
        self.bytes_out += record.output.size_bytes if record.output else 0
        self.plans[record.plan_sha256] += 1
        self.nets.update(record.nets)
        self.passages += len(record.review) + record.review_more
        self.to_look_at += bool(record.review)
        both = [*self.worst, *((item, record) for item in record.review)]
        self.worst = heapq.nsmallest(_MOST_PASSAGES, both, key=lambda pair: need(pair[0]))


def write_report(
    path: Path, run: RunFacts, records: Iterable[CommitRecord], beside: Beside | None = None
) -> None:
    """Write the page, whole or not at all, readable by its owner only: it tells of people.

    records: all of the archive, read once and not kept; videos that earlier runs settled are among them.

    Raises SinkError, and what records raises.
    """
    with publishing(str(path)) as publication:
        publication.path.touch(0o600)
        text = "".join(_report(run, records, beside or Beside()))
        publication.write(text.encode("utf-8", "backslashreplace"))
        publication.commit()


def _report(run: RunFacts, records: Iterable[CommitRecord], beside: Beside) -> Iterator[str]:
    tally = _Tally()
    listed = heapq.nsmallest(MOST_VIDEOS, tally.over(records), key=_rank)
    body = [
        *_head(run, tally),
        *_done(run, tally),
        *_given_up(listed, tally),
        *_passages(tally, beside),
        *_videos(listed, tally, beside),
        _settings(run, tally),
    ]
    yield from page(f"facefx archive: {run.target}", body)


def _rank(record: CommitRecord) -> tuple[bool, tuple[float, float, int], str]:
    """What was not done comes first, then what needs a look most, then by name."""
    first = need(record.review[0]) if record.review else (1.0, 0.0, 0)
    return record.status == "done", first, record.source.relative


def _head(run: RunFacts, tally: _Tally) -> Iterator[str]:
    done, lost = tally.states["done"], tally.states["quarantined"] + tally.states["failed"]
    open_ = max(run.videos - done - lost, 0)
    words = _EXITS.get(ExitCode(run.exit_code), "") if run.exit_code in set(ExitCode) else ""
    yield f'<h1>facefx archive</h1>\n<p class="muted">{said(run.target)}</p>\n'
    told = f"{amount(done)} of {plural(run.videos, 'video')} done"
    told += f", {amount(lost)} given up" if lost else ""
    told += f", {amount(open_)} not begun" if open_ else ""
    looks = (
        f"A person should look at {plural(tally.passages, 'passage')} in {plural(tally.to_look_at, 'video')}."
        if tally.passages
        else "Nothing was marked for a person to look at."
    )
    yield f'<p class="lead"><strong>{told}.</strong> {looks}</p>\n'
    yield f"<p>Exit code {run.exit_code}{': ' + words if words else ''}.</p>\n"
    yield _bar({**{name: tally.states[name] for name in ("done", "quarantined", "failed")}, "skipped": open_})
    yield _figures(
        {
            "length of the videos": lasting(tally.seconds),
            "frames": amount(tally.frames),
            "of them with faces": amount(tally.face_frames),
            "faces tracked": amount(tally.tracks),
            "gaps covered": amount(tally.gaps),
            "read → written": f"{bulk(tally.bytes_in)} → {bulk(tally.bytes_out)}",
            "CPU time": lasting(tally.cpu_s),
            "this run took": lasting(run.wall_s),
        }
    )


def _bar(parts: dict[str, int]) -> str:
    words = {"skipped": "not begun"}
    there = {name: count for name, count in parts.items() if count}
    bar = "".join(f'<i class="{name}" style="flex-grow:{count}"></i>' for name, count in there.items())
    keys = "".join(
        f'<span class="key {name}">{amount(count)} {words.get(name, name)}</span>'
        for name, count in there.items()
    )
    return f'<div class="bar" aria-hidden="true">{bar}</div><p>{keys}</p>\n'


def _figures(figures: dict[str, str]) -> str:
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures.items())
    return f'<dl class="figures">{cells}</dl>\n'


def _done(run: RunFacts, tally: _Tally) -> Iterator[str]:
    config = run.recipe.get("config") or {}
    analysis = run.recipe.get("analysis") or {}
    yield "<h2>What was done</h2>\n"
    lines = [
        f"{said(_chain(config.get('effects')))}" if config.get("effects") else "",
        f"{said((analysis.get('detector') or {}).get('name', ''))}" if analysis else "",
    ]
    parts = [f"{plural(run.skipped, 'video')} were done before this run" if run.skipped else ""]
    parts += [f"{plural(run.lost, 'task')} lost their worker and were given to another"] if run.lost else []
    parts += [f"{plural(run.redone, 'segment')} were begun again"] if run.redone else []
    yield facts(
        [
            ("effects", lines[0]),
            ("faces found by", lines[1]),
            ("sources", "<br>".join(said(source) for source in run.sources)),
            ("from, to", f"{said(when(run.started_at))} – {said(when(run.finished_at))}"),
            ("worked on by", said(run.lanes) if run.lanes else ""),
            ("in this run", "; ".join(part for part in parts if part)),
            ("what is fixed for all", f'sha256 <span class="hash">{said(run.recipe_sha256)}</span>'),
            ("plans", _plans(tally)),
            ("notes", "<br>".join(said(note) for note in run.notes)),
        ]
    )
    nets = sorted(tally.nets.items(), key=lambda pair: pair[0].name)
    if nets:
        yield "<h2>Nets</h2>\n" + table(
            ["net", "licence", "sha256", "#videos"],
            (
                (
                    said(net.name),
                    said(net.licence),
                    f'<span class="hash">{said(net.sha256)}</span>',
                    amount(n),
                )
                for net, n in nets
            ),
        )


def _chain(effects: Any) -> str:
    """Effects and their settings as one would write them.

    >>> _chain([{"solid": {"color": "black"}}, "blur"])
    'solid (color black) + blur'
    """
    told = []
    for effect in effects:
        for name, params in effect.items() if isinstance(effect, dict) else ((effect, {}),):
            inner = ", ".join(f"{key} {value}" for key, value in (params or {}).items())
            told.append(f"{name} ({inner})" if inner else f"{name}")
    return " + ".join(told)


def _plans(tally: _Tally) -> str:
    """The digest of the plan where all videos share one; otherwise how many there are."""
    if len(tally.plans) > 1:
        return f"{amount(len(tally.plans))}, since videos differ; each video below names its own"
    return "".join(f'sha256 <span class="hash">{said(digest)}</span>' for digest in tally.plans if digest)


def _passages(tally: _Tally, beside: Beside) -> Iterator[str]:
    yield "<h2>To be looked at by a person</h2>\n"
    if not tally.worst:
        yield "<p>No face was found with low confidence, and none was covered long while out of sight.</p>\n"
        return
    yield (
        '<p class="muted">In order of need. A click opens the output at that time, where a browser can '
        "play it. “Barely a face” is what the detector was least sure of: it is covered, and may be no face, "
        "or stand beside one that was not seen. “Out of sight” is a time through which a face was covered "
        "without being seen.</p>\n"
    )
    yield table(
        ["video", "time", "why", "#track"],
        (
            (
                said(record.source.relative),
                moment(item, record, beside),
                look(item),
                str(item.track),
            )
            for item, record in tally.worst
        ),
    )
    if tally.passages > len(tally.worst):
        more = tally.passages - len(tally.worst)
        yield f'<p class="muted">{plural(more, "passage")} more, listed in the manifest.</p>\n'


def _given_up(listed: list[CommitRecord], tally: _Tally) -> Iterator[str]:
    count = tally.states["quarantined"] + tally.states["failed"]
    if not count:
        return
    yield (
        '<h2>Not done</h2>\n<p class="muted">Quarantined: the file itself is the cause. Failed: something '
        "else is, and trying again may help (facefx archive retry). No output was published of either.</p>\n"
    )
    lost = [record for record in listed if record.status != "done"][:_MOST_FAILED]
    yield table(
        ["video", "state", "reason"],
        (
            (
                said(record.source.relative),
                f'<span class="state {record.status}">{record.status}</span>',
                f'{said(record.reason)}<br><span class="muted">{said(record.kind)}'
                f"{' · ' + said(record.where) if record.where else ''}</span>{_log(record)}",
            )
            for record in lost
        ),
    )
    if count > len(lost):
        yield f'<p class="muted">{plural(count - len(lost), "video")} more, listed in the manifest.</p>\n'


def _log(record: CommitRecord) -> str:
    if not record.run.log:
        return ""
    return f"<details><summary>log</summary><pre>{said(record.run.log)}</pre></details>"


def _videos(listed: list[CommitRecord], tally: _Tally, beside: Beside) -> Iterator[str]:
    total = tally.states.total()
    shown = (
        f" Here are {amount(len(listed))} of them, those that need it first." if total > len(listed) else ""
    )
    manifest = link("", beside.manifest, said(beside.manifest))
    yield f"<h2>Videos</h2>\n<p>All {plural(total, 'record')} as a table: {manifest}.{shown}</p>\n"
    choices = {"look": "to be looked at"} | {name: name for name in ("done", "quarantined", "failed")}
    options = "".join(f'<option value="{name}">{words}</option>' for name, words in choices.items())
    yield _FILTER.format(options=options)
    for record in listed:
        yield video_line(record, beside)


def _settings(run: RunFacts, tally: _Tally) -> str:
    versions = [
        (plural(count, "video"), said(", ".join(f"{name} {version}" for name, version in used)))
        for used, count in tally.versions.most_common(5)
        if used
    ]
    fixed = plain_json(run.recipe, "what is fixed for all videos")
    return f"<h2>Settings and versions</h2>\n{facts(versions)}{fixed}"
