"""`facefx demo`: the whole way on a face that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `demo` to the app."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where to put the clips and the picture.")] = Path(
        "demo"
    ),
    effect: Annotated[
        list[str] | None, typer.Option("--effect", "-e", help="Effect to show. [default: solid]")
    ] = None,
    clip_only: Annotated[bool, typer.Option("--clip-only", help="Only make the input clip.")] = False,
) -> None:
    """Make a clip of a moving portrait, hide the face in it, and say where the result is.

    Example: facefx demo --effect pixelate
    """
    from facefx.config import load_config
    from facefx.demo import portrait_frames
    from facefx.pipeline.run import run_video
    from facefx.video.clip import write_clip

    console = Console(soft_wrap=True)
    folder.mkdir(parents=True, exist_ok=True)
    source, output, picture = folder / "in.mp4", folder / "out.mp4", folder / "before-after.png"
    frames = write_clip(source, (shown.batch for shown in portrait_frames()))
    console.print(f"made {source}: {frames} frames of a portrait (NASA, public domain)", highlight=False)
    if clip_only:
        return
    config = load_config(None, {"effects": tuple(effect) if effect else None})
    report = run_video(str(source), str(output), config)
    _strip(source, output, picture)
    facts = report.to_json()
    console.print(
        f"hid {facts['faces']['tracks']} face track(s) in {facts['frames']} frames; "
        f"{len(facts['fidelity']['clauses'])} clauses of the fidelity contract hold",
        highlight=False,
    )
    console.print(f"result:       {output}\nbefore/after: {picture}", highlight=False)


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
