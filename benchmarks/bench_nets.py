"""What a face and a tile cost, beside MediaPipe's own runtime.

The same nets from the same wheel, each at its own: MediaPipe 0.10.21 by its Python solutions, in an
environment of its own that this script makes, and facefx on ONNX Runtime. Both take the same square
pictures in RGB and give boxes, or landmarks of one face that they follow, in the picture; that the
answers agree is checked first. Each side is kept on one core, whatever threads it starts. A round loads
every net anew for every picture and takes the median of its calls; rounds alternate between the sides.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.lib import ROOT, Goal, Result, Spread, finish, media_file, parser, run_child, say, scratch
from benchmarks.mediapipe_env import add_option, interpreter
from facefx.models.build import REQUIREMENT

# How many times as long MediaPipe has to take, at least. A tile may cost a tenth more than there: our
# graph is ready for 64 faces in it, in one call and without a loop.
LIMITS = {"facemesh-468": 1.0, "facemesh-478": 1.0, "blazeface-short": 0.9, "blazeface-full": 0.9}
NETS = tuple(LIMITS)
# Faces of different sizes and turns that both detectors see.
STILLS = ("astronaut_1.png", "glasses_1.jpg", "hopper_1.jpg", "portrait_1.jpg")
SIDE = 720
# How far boxes and landmarks of both may lie apart, as a share of the picture: some samples of the net's
# input, for a box moves so far when one candidate more takes part in it.
APART = 3 / 192

Answers = dict[str, NDArray[Any]]


def main() -> int:
    """Measure, judge, write."""
    reader = parser(__doc__)
    reader.add_argument("--rounds", type=int, default=9, help="pairs of runs (default 9)")
    add_option(reader)
    asked = reader.parse_args()
    short, rounds, calls = asked.short, 2 if asked.short else asked.rounds, 5 if asked.short else 40
    with scratch() as folder:
        python = interpreter(asked.mediapipe, folder)
        pictures = folder / "pictures.npz"
        np.savez(pictures, **{name: _square(name) for name in STILLS})  # type: ignore[arg-type]
        sides = {
            "mediapipe": [str(python), "-m", "benchmarks.nets_mediapipe"],
            "facefx": [sys.executable, "-m", "benchmarks.nets_facefx"],
        }
        nets = {"mediapipe": NETS, "facefx": (*NETS, *(f"{net}.net" for net in NETS))}
        took: dict[str, list[Answers]] = {name: [] for name in sides}
        for i in range(rounds):
            for name in list(sides)[:: 1 if i % 2 == 0 else -1]:
                answers = folder / f"{name}.npz"
                run_child([*sides[name], str(pictures), str(answers), str(calls), *nets[name]], cwd=ROOT)
                took[name].append(_read(answers))
            say(f"  round {i + 1}/{rounds}")
    _check_agreement(took["mediapipe"][0], took["facefx"][0])
    return finish(_result(took, calls, short), short=short)


def _square(name: str) -> NDArray[np.uint8]:
    """The middle of a still, as a tile of a 720p frame."""
    picture = cv2.imread(str(media_file(f"stills/{name}")))
    assert picture is not None, name
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    part = cv2.cvtColor(picture[top : top + side, left : left + side], cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _read(path: Path) -> Answers:
    with np.load(path) as kept:
        return dict(kept)


def _check_agreement(theirs: Answers, ours: Answers) -> None:
    """Both did the same work, or there is nothing to compare.

    Raises SystemExit with the net and the picture where they differ.
    """
    for key in [key for key in theirs if key.endswith("/answer")]:
        one, other = theirs[key], ours[key]
        if one.shape != other.shape or not one.size or np.abs(one - other).max() > APART:
            raise SystemExit(f"{key}: MediaPipe and facefx do not agree: {one.shape}, {other.shape}")


def _medians(took: list[Answers], net: str) -> list[float]:
    """Milliseconds a call, round by round: the mean over the pictures of their medians."""
    return [float(np.mean([np.median(answers[f"{net}/{name}/ms"]) for name in STILLS])) for answers in took]


def _result(took: Mapping[str, list[Answers]], calls: int, short: bool) -> Result:
    rows, goals, figures = [], [], {}
    for net in NETS:
        theirs, ours = _medians(took["mediapipe"], net), _medians(took["facefx"], net)
        alone = _medians(took["facefx"], f"{net}.net")
        ratio = Spread.of([t / o for t, o in zip(theirs, ours, strict=True)])
        rows.append([net, *(Spread.of(values).text() for values in (theirs, ours, alone)), ratio.text(2)])
        goals.append(Goal(f"{net}, MediaPipe : facefx", ratio.median, LIMITS[net], True, not short))
        figures[net] = {
            name: [round(value, 4) for value in values]
            for name, values in {"mediapipe_ms": theirs, "facefx_ms": ours, "net_ms": alone}.items()
        }
    return Result(
        name="nets",
        about=__doc__,
        setting=(
            f"{REQUIREMENT.replace('==', ' ')}, {len(STILLS)} pictures of {SIDE} × {SIDE}, {calls} calls "
            f"each, {len(took['facefx'])} pairs of runs."
        ),
        goals=goals,
        figures=figures,
        tables=[
            (
                "Milliseconds a face (facemesh) or a tile (blazeface)",
                ["net", "MediaPipe", "facefx", "of which the net", "MediaPipe : facefx"],
                rows,
            )
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
