"""Every face covered, and nothing else: judged from finished pixels.

The clips with truth boxes go through `facefx run --effect solid` twice, lossless (`--crf 0`, so that any
difference is ours) and as a user would, and are judged from the finished files' pixels (how:
benchmarks/cover.py). The clips without faces must come back untouched. A face pasted into them for one
to three frames, starting at every frame of two look intervals, is judged in memory, as are the
stills, where a picture counts as found or false by how many faces are sure.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.cover import Cover, judge, read_truth
from benchmarks.in_memory import still
from benchmarks.lib import ROOT, Goal, Result, facefx, finish, media_file, options, run_child, say, scratch
from benchmarks.pasted import Clip, Outcome, find_face, pastes, try_paste
from facefx.faces.detector import Detector, choose_detector, make_detector
from facefx.faces.policy import FacePolicy

WITH_FACES = ("foreman_cif_352x288", "pair_headpose_480x270", "signer_woman_640x480")
WITHOUT = ("noface_bottles_640x360", "noface_cars_768x432")
SIZES_PX = (40, 80, 160)
MUST_FIND = {"stills/solvay1927_gray_29.jpg": 29, "stills/team_10.jpg": 10}


@dataclass(slots=True)
class Judged:
    """The clips of one detector: as users get them, and lossless."""

    usual: dict[str, Cover] = field(default_factory=dict)
    exact: dict[str, Cover] = field(default_factory=dict)

    def covered(self, note: str | None = None) -> tuple[int, int]:
        """(covered, all) boxes of the finished files, of one note or of all."""
        boxes: Counter[str] = Counter()
        good: Counter[str] = Counter()
        for cover in (*self.usual.values(), *self.exact.values()):
            boxes += cover.boxes
            good += cover.covered
        return (good[note], boxes[note]) if note else (good.total(), boxes.total())

    def worst_away(self) -> float:
        """Largest share of a clip's pixels that were changed away from any face, in percent."""
        return max(100 * cover.away_share for cover in self.exact.values())

    def largest_ratio(self) -> float:
        """Of a patch to its box."""
        return max(cover.largest_ratio for cover in self.exact.values())

    def rows(self, detector: str) -> list[list[str]]:
        """One row a clip and kind."""
        kinds = [("lossless", self.exact), ("as a user", self.usual)]
        return [
            [detector, clip, kind, *_cells(cover)] for kind, all_ in kinds for clip, cover in all_.items()
        ]


def _cells(cover: Cover) -> list[str]:
    notes = ", ".join(f"{note} {cover.covered[note]}/{n}" for note, n in sorted(cover.boxes.items()))
    away = f"{100 * cover.away_share:.4f} %"
    return [notes or "none there", str(cover.leaked_frames), away, f"{cover.largest_ratio:.2f}"]


def judge_clips(detector: str, clips: tuple[str, ...], folder: Path) -> Judged:
    """Run facefx on each clip and judge what came out."""
    judged = Judged()
    for clip in clips:
        source = media_file(f"clips/{clip}.mp4")
        truth = read_truth(media_file(f"truth/{clip}.csv")) if clip in WITH_FACES else {}
        for kind, crf in (("exact", ["--codec", "libx264", "--crf", "0"]), ("usual", [])):
            if kind == "usual" and not truth:
                continue
            output = folder / f"{detector}-{kind}-{clip}.mp4"
            command = facefx("run", source, output, "--effect", "solid", "--detector", detector, *crf)
            run_child([*command, "--preset", "veryfast"] if crf else command)
            cover = judge(source, output, truth, lossless=kind == "exact")
            getattr(judged, kind)[clip] = cover
            say(f"  {detector} {clip} {kind}: {' | '.join(_cells(cover))}")
            output.unlink()
    return judged


def judge_pastes(detector: Detector, sizes: tuple[int, ...]) -> dict[str, list[Outcome]]:
    """Paste the shipped portrait's face into both clips without faces."""
    face = find_face(ROOT / "facefx" / "assets" / "portrait.jpg", detector)
    outcomes = {}
    for name in WITHOUT:
        clip = Clip.read(media_file(f"clips/{name}.mp4"))
        outcomes[name] = [try_paste(clip, face, paste, detector) for paste in pastes(clip, sizes)]
        shown, covered = _shown(outcomes[name])
        say(f"  pasted into {name}: {covered} of {shown} frames covered")
    return outcomes


def _shown(outcomes: list[Outcome]) -> tuple[int, int]:
    return sum(o.paste.frames for o in outcomes), sum(o.covered for o in outcomes)


def judge_stills(detector: Detector, high: float) -> list[tuple[str, int, int]]:
    """(file, faces there, sure faces seen) of every still."""
    with media_file("truth/stills.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    counted = []
    for row in rows:
        bgr = cv2.imread(str(media_file(row["file"])))
        seen = detector.detect(still(np.asarray(bgr, np.uint8)), [0])
        counted.append((row["file"], int(row["faces"]), int(np.sum(seen.confidence >= high))))
    return counted


def goals_of(
    yunet: Judged, untouched: Judged, blaze: Judged, pasted: list[Outcome], stills: list[tuple[str, int, int]]
) -> list[Goal]:
    """What the project promises of cover."""
    covered, boxes = yunet.covered()
    full, full_boxes = blaze.covered("full")
    shown, hidden = _shown(pasted)
    missed = sum(max(0, n - seen) for file, n, seen in stills if file in MUST_FIND)
    return [
        Goal("truth boxes covered, %", 100 * covered / boxes, 100, True),
        Goal("changed away from any face, % of a clip", yunet.worst_away(), 0.1, False),
        Goal("largest patch, in boxes", yunet.largest_ratio(), 2.5, False),
        Goal("changed pixels without a face", sum(c.changed_px for c in untouched.exact.values()), 0, False),
        Goal("frames of a pasted face covered, %", 100 * hidden / shown, 100, True),
        Goal("faces missed on Solvay and team_10", missed, 0, False),
        Goal("false faces on all stills", sum(max(0, seen - n) for _, n, seen in stills), 2, False),
        Goal("BlazeFace alone: full truth boxes covered, %", 100 * full / full_boxes, 100, True),
    ]


def main() -> int:
    """Judge everything and write it down."""
    short = options(__doc__).short
    clips = WITH_FACES[1:2] if short else WITH_FACES
    yunet = make_detector(choose_detector("yunet"))
    with scratch() as folder:
        judged = {name: judge_clips(name, clips, folder) for name in ("yunet", "blazeface")}
        untouched = {name: judge_clips(name, WITHOUT, folder) for name in judged}
    outcomes = judge_pastes(yunet, SIZES_PX[1:2] if short else SIZES_PX)
    high = FacePolicy.for_detector("yunet").high
    stills = judge_stills(yunet, high)
    yunet.close()
    pasted = [outcome for each in outcomes.values() for outcome in each]
    goals = goals_of(judged["yunet"], untouched["yunet"], judged["blazeface"], pasted, stills)
    if short:
        goals = [Goal(g.what, g.got, g.limit, g.at_least, judged=False) for g in goals]
    head = ["detector", "clip", "encoded", "boxes covered", "frames leaked", "changed away", "largest patch"]
    rows = [row for each in (judged, untouched) for name, result in each.items() for row in result.rows(name)]
    paste_rows = [
        [name, str(size), f"{covered}/{shown}", str(sum(o.others for o in of_size))]
        for name, all_ in outcomes.items()
        for size in SIZES_PX
        if (of_size := [o for o in all_ if o.paste.face_px == size])
        for shown, covered in [_shown(of_size)]
    ]
    result = Result(
        "cover",
        __doc__,
        f"{len(clips)} clips with truth, {len(WITHOUT)} without faces, {len(pasted)} pastes, "
        f"{len(stills)} stills; YuNet's faces are sure from {high:g} on",
        goals,
        {
            name: {kind: {c: v.to_json() for c, v in getattr(r, kind).items()} for kind in ("exact", "usual")}
            for name, r in judged.items()
        },
        [
            ("Clips", head, rows),
            ("Pasted faces", ["clip", "face, px", "frames covered", "other frames changed"], paste_rows),
            ("Stills", ["file", "faces", "sure"], [[file, str(n), str(seen)] for file, n, seen in stills]),
        ],
    )
    return finish(result, short=short)


if __name__ == "__main__":
    sys.exit(main())
