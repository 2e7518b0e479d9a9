"""Whether every face is covered, and nothing else is.

Judged from finished pixels, as benchmarks/cover.py says: three clips with known boxes (a face leaves
the picture in one of them), two clips without faces, a face pasted for one to three frames at every
phase of the look grid, and stills with known numbers of faces. With both detectors.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from benchmarks.cover import Cover, judge, read_truth
from benchmarks.in_memory import still
from benchmarks.lib import Goal, Result, facefx, finish, media_file, options, run_child, say, scratch
from benchmarks.pasted import Clip, find_face, pastes, try_paste
from facefx.faces.detector import Detector, choose_detector, make_detector
from facefx.faces.policy import SURE

TRUE_CLIPS = ("foreman_cif_352x288", "pair_headpose_480x270", "signer_woman_640x480")
NO_FACE_CLIPS = ("noface_bottles_640x360", "noface_cars_768x432")
ENCODE = ("--codec", "libx264", "--preset", "veryfast", "--crf", "23")
SIZES = (40, 80, 160)


@dataclass(frozen=True, slots=True)
class Stills:
    """faces, found and false over all stills; found and known in the crowded ones."""

    false: int
    solvay: int
    team: int
    rows: tuple[tuple[str, int, int], ...]


def main() -> int:
    """Judge both detectors, write."""
    short = options(__doc__).short
    with scratch() as folder:
        clips = {name: _clips(name, folder, short) for name in ("yunet", "blazeface")}
        empty = 0 if short else _changed_without_faces(folder)
    yunet = make_detector(choose_detector("yunet"))
    pasted = _pasted(yunet, short)
    stills = _stills(yunet, SURE["yunet"])
    return finish(_result(clips, empty, pasted, stills, short), short=short)


def _clips(detector: str, folder: Path, short: bool) -> dict[str, Cover]:
    """Hide the faces of each clip through the command line, and judge the finished files."""
    covers = {}
    for name in TRUE_CLIPS[1:2] if short else TRUE_CLIPS:
        source, truth = media_file(f"clips/{name}.mp4"), media_file(f"truth/{name}.csv")
        out = folder / f"{detector}-{name}.mp4"
        run_child(facefx("run", source, out, "--effect", "solid", "--detector", detector, *ENCODE))
        covers[name] = judge(source, out, read_truth(truth))
        say(f"  {detector} {name}: {covers[name].covered.total()} of {covers[name].boxes.total()}")
    return covers


def _changed_without_faces(folder: Path) -> int:
    """Samples that differ from the source where nothing has to, with a lossless encoder."""
    changed = 0
    for name in NO_FACE_CLIPS:
        source, out = media_file(f"clips/{name}.mp4"), folder / f"{name}.mp4"
        run_child(facefx("run", source, out, "--effect", "solid", "--lossless", "--preset", "ultrafast"))
        changed += judge(source, out, {}, lossless=True).changed_px
    return changed


def _pasted(detector: Detector, short: bool) -> dict[str, Any]:
    """Paste a face for one to three frames at every phase; count the frames that show it."""
    face = find_face(media_file("stills/portrait_1.jpg"), detector)
    shown = covered = others = tries = 0
    for name in NO_FACE_CLIPS[:1] if short else NO_FACE_CLIPS:
        clip = Clip.read(media_file(f"clips/{name}.mp4"))
        for paste in list(pastes(clip, SIZES))[:: 12 if short else 1]:
            outcome = try_paste(clip, face, paste, detector)
            tries += 1
            shown += paste.frames
            covered += outcome.covered
            others = max(others, outcome.others)
        say(f"  pasted into {name}: {covered} of {shown} frames covered")
    return {"tries": tries, "shown": shown, "covered": covered, "most_others": others}


def _stills(detector: Detector, sure: float) -> Stills:
    """Count the faces of every still."""
    table = media_file("truth/stills.csv")
    with table.open(encoding="utf-8", newline="") as file:
        known = {r["file"]: int(r["faces"]) for r in csv.DictReader(x for x in file if not x.startswith("#"))}
    rows = []
    for name, faces in known.items():
        picture = cv2.imread(str(media_file(name)))
        seen = detector.detect(still(picture), [0])
        rows.append((Path(name).stem, faces, int((seen.confidence >= sure).sum())))
    found = {name: count for name, _, count in rows}
    false = sum(max(0, count - faces) for _, faces, count in rows)
    return Stills(false, found["solvay1927_gray_29"], found["team_10"], tuple(rows))


def _result(
    clips: dict[str, dict[str, Cover]], empty: int, pasted: dict[str, Any], stills: Stills, short: bool
) -> Result:
    yunet, blaze = clips["yunet"].values(), clips["blazeface"].values()
    full = sum(c.covered["full"] for c in blaze) / sum(c.boxes["full"] for c in blaze)
    share = sum(c.covered.total() for c in yunet) / sum(c.boxes.total() for c in yunet)
    judged = not short
    goals = [
        Goal("boxes covered, YuNet", share, 1, True, judged),
        Goal("frames leaked, YuNet", sum(c.leaked_frames for c in yunet), 0, False, judged),
        Goal(
            "changed area away from any face, worst clip",
            max(c.away_share for c in yunet),
            0.001,
            False,
            judged,
        ),
        Goal("patch : its box, largest", max(c.largest_ratio for c in yunet), 2.5, False, judged),
        Goal("pixels changed in clips without faces", empty, 0, False, judged),
        Goal("frames with a pasted face covered", pasted["covered"] / pasted["shown"], 1, True, judged),
        Goal("Solvay's faces found", stills.solvay, 29, True, judged),
        Goal("team's faces found", stills.team, 10, True, judged),
        Goal("false faces over all stills", stills.false, 2, False, judged),
        Goal("boxes marked full covered, BlazeFace alone", full, 1, True, judged),
    ]
    return Result(
        name="cover",
        about=__doc__,
        setting=f"solid, {' '.join(ENCODE)}; pasted faces {', '.join(map(str, SIZES))} px wide, in memory.",
        goals=goals,
        figures={
            "clips": {d: {n: c.to_json() for n, c in found.items()} for d, found in clips.items()},
            "pasted": pasted,
            "stills": [list(row) for row in stills.rows],
        },
        tables=[
            ("Clips", ["detector", "clip", "full", "partial", "away", "largest patch"], _clip_rows(clips)),
            ("Stills, YuNet", ["still", "faces", "found"], [[n, str(k), str(f)] for n, k, f in stills.rows]),
        ],
    )


def _clip_rows(clips: dict[str, dict[str, Cover]]) -> list[list[str]]:
    return [
        [
            detector,
            name,
            *(f"{c.covered[note]} of {c.boxes[note]}" for note in ("full", "partial")),
            f"{100 * c.away_share:.3f} %",
            f"{c.largest_ratio:.2f}",
        ]
        for detector, covers in clips.items()
        for name, c in covers.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
