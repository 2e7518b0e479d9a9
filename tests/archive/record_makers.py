"""Records of videos that never were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from facefx.archive.records import (
    CommitRecord,
    FileFacts,
    NetUse,
    RunFacts,
    VideoCost,
)
from facefx.pipeline.faces_count import FacesCount, Passage

NET = NetUse("yunet-n", "8f" * 32, "Apache-2.0")
COST = VideoCost("2026-11-25T12:00:00Z", 3.5, 12.25, {"decode": 1.5, "encode": 9.0}, ("node-1",), 1, 2)


def done(number: int = 0, **changes: Any) -> CommitRecord:
    """A video that was published."""
    name = f"day/clip_{number:05d}.mp4"
    record = CommitRecord(
        key=f"{number:024x}",
        status="done",
        source=FileFacts(f"s3://in/{name}", name, 1_000_000 + number, "aa" * 32),
        identity=f"etag:{number}",
        output=FileFacts(f"s3://out/{name}", name, 900_000, "bb" * 32),
        duration_s=20.0,
        frames=600,
        segments=2,
        faces=FacesCount(3, 400, 2, 1.5, 10, 20, 30),
        review=(Passage("low_confidence", 1.0, 2.0, 1, 0.31), Passage("long_fill", 5.0, 6.5, 2, 1.5)),
        review_more=4,
        plan_sha256="cc" * 32,
        plan={"effects": [{"name": "solid", "params": {}}], "encode": {"crf": 18.0, "preset": None}},
        nets=(NET,),
        versions={"facefx": "0.1.0", "av": "18.1.0"},
        notes=("removed cover art: it may show a face",),
        details={"fidelity": {"clauses": 12}},
        run=COST,
    )
    return replace(record, **changes)


def given_up(number: int = 1, **changes: Any) -> CommitRecord:
    """A video that is quarantined."""
    record = done(
        number,
        status="quarantined",
        output=None,
        frames=0,
        review=(),
        review_more=0,
        reason="clip.mp4: 115 of 180 frames decode; get a better copy",
        kind="DamagedError",
        where="clip.mp4: segment 3 of 9",
        run=replace(COST, log="Traceback\n  line 7\nDamagedError"),
    )
    return replace(record, **changes)


def run_facts(**changes: Any) -> RunFacts:
    """A run over them."""
    facts = RunFacts(
        sources=("s3://in/",),
        target="s3://out/",
        recipe_sha256="dd" * 32,
        recipe={"config": {"effects": [{"solid": {"color": "black"}}]}, "segment_s": 20},
        started_at="2026-11-25T11:00:00Z",
        finished_at="2026-11-25T12:00:00Z",
        exit_code=5,
        videos=2,
    )
    return replace(facts, **changes)
