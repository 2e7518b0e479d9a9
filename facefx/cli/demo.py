"""`facefx demo`: an archive of clips with a face that comes with the package, the whole way."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facefx.archive.job import Event
    from facefx.archive.run import RunSummary
    from facefx.config import RunConfig
    from facefx.demo import PortraitClip

__all__ = ["register"]

_LANES = 2


def register(app: typer.Typer) -> None:
    """Add `demo` to the app."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[
        Path, typer.Option("--folder", help="Where to put the clips, the results and the picture.")
    ] = Path("demo"),
    effect: Annotated[
        list[str] | None, typer.Option("--effect", "-e", help="Effect to show. [default: solid]")
    ] = None,
    clip_only: Annotated[bool, typer.Option("--clip-only", help="Only make one clip, in.mp4.")] = False,
) -> None:
    """Make a small archive of clips of a moving portrait, and hide the face in all of them.

    Two workers on a Ray that is started on this machine and ended with the demo. Then it says where the
    results, the report and a before/after picture are.

    Example: facefx demo --effect pixelate
    """
    from facefx.config import load_config
    from facefx.demo import PORTRAIT_CLIPS, PortraitClip

    folder.mkdir(parents=True, exist_ok=True)
    if clip_only:
        clip = PortraitClip("in.mp4", 640, 360, 4.0, "visit")
        _say(f"made {folder / clip.name}: {_make(clip, folder)} frames of a portrait (NASA, public domain)")
        return
    config = load_config(None, {"effects": tuple(effect) if effect else None})
    sources, target = folder / "in", folder / _name_of(effect or ["solid"])
    sources.mkdir(exist_ok=True)
    frames = sum(_make(clip, sources) for clip in PORTRAIT_CLIPS)
    _say(
        f"made {len(PORTRAIT_CLIPS)} clips in {sources}: {frames} frames of a portrait (NASA, public domain)"
    )
    summary = _archive(sources, target, config)
    if summary.exit_code:
        raise typer.Exit(int(summary.exit_code))
    picture = folder / "before-after.png"
    shown = PORTRAIT_CLIPS[0].name
    _strip(sources / shown, target / shown, picture)
    _say(f"results:      {target}\nreport:       {summary.report}\nbefore/after: {picture}")


def _say(text: str) -> None:
    Console(soft_wrap=True).print(text, highlight=False, markup=False)


def _name_of(effects: Iterable[str]) -> str:
    """A folder for each chain of effects, so that one demo can follow another."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", " ".join(effects)).strip("-.") or "out"


def _make(clip: PortraitClip, folder: Path) -> int:
    from facefx.demo import portrait_frames
    from facefx.video.clip import write_clip

    frames = portrait_frames(clip.width, clip.height, seconds=clip.seconds, camera=clip.camera)
    return write_clip(folder / clip.name, (shown.batch for shown in frames))


def _archive(sources: Path, target: Path, config: RunConfig) -> RunSummary:
    """What `facefx archive run` does, with a word on each video."""
    from facefx.archive.run import ArchiveRequest, run_archive
    from facefx.archive.tasks import Recipe
    from facefx.cluster.archive import RayWorkers

    os.environ.pop("RAY_ADDRESS", None)  # another machine's workers would not find the clips
    recipe = Recipe(config, str(target))
    workers = RayWorkers(recipe, workers=_LANES, cpus=max(_LANES, os.cpu_count() or 1), say=_say)
    return run_archive(
        ArchiveRequest((str(sources),), recipe),
        workers.opened,
        lanes=lambda: workers.words,
        on_event=_tell,
    )


def _tell(event: Event) -> None:
    if event.kind == "done":
        faces: dict[str, Any] = event.facts["faces"]
        said = (
            f"{faces['tracks']} face track(s), in {faces['face_frames']}"
            if faces["tracks"]
            else "no face in any"
        )
        _say(f"{event.video.relative}: {said} of {event.facts['frames']} frames")
    elif event.kind in ("failed", "lost"):
        _say(f"{event.kind}: {event.text}")


def _strip(source: Path, output: Path, picture: Path, columns: int = 4) -> None:
    """Put frames of both clips, at the same times, above each other."""
    import cv2
    import numpy as np

    rows = [np.hstack(_samples(path, columns)) for path in (source, output)]
    _, data = cv2.imencode(".png", np.vstack(rows))
    picture.write_bytes(data.tobytes())


def _samples(path: Path, count: int) -> list[NDArray[np.uint8]]:
    """A few pictures of a yuv420p clip, evenly spread, as (h, w, 3) blue, green, red."""
    import cv2
    import numpy as np

    from facefx.video.source import VideoSource

    shown = []
    with VideoSource(path) as source:
        frames = source.info.video.frames_expected
        wanted = {round(frames * (i + 0.5) / count) for i in range(count)}
        for batch in source.batches():
            height, width = batch.format.height * 3 // 2, batch.format.width
            for i in np.flatnonzero(np.isin(batch.index, list(wanted))):
                planes = np.concatenate([plane.reshape(-1) for plane in batch.view(int(i))])
                shown.append(cv2.cvtColor(planes.reshape(height, width), cv2.COLOR_YUV2BGR_I420))
    return shown
