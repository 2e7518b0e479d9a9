"""What `import facefx` offers: the commands as functions, for scripts and notebooks.

Settings are those of a settings file, by the same names and nested alike:
`facefx.run("in.mp4", "out.mp4", "pixelate:cells=8", from_s=3, encode={"preset": "fast"})`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facefx.config import RunConfig, load_config, parse_time
from facefx.pipeline.report import RunReport
from facefx.storage import staged

if TYPE_CHECKING:
    from facefx.pipeline.pictures import FoundFaces
    from facefx.pipeline.preview import Preview
    from facefx.pipeline.stills import StillReport

__all__ = ["analyze", "faces", "preview", "render", "run"]

PathOrUrl = str | PathLike[str]
Effects = str | dict[str, dict[str, Any]] | Sequence[str | dict[str, dict[str, Any]]]
Progress = Callable[[int, int], None]


def run(
    source: PathOrUrl,
    output: PathOrUrl,
    effects: Effects | None = None,
    *,
    config: PathOrUrl | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> RunReport | StillReport:
    """Find every face in a video or photo, change its pixels, and write a file that is otherwise untouched.

    effects: "name:param=value", {"name": {"param": value}} or several of them; "solid" where none is
    given. config: a YAML file of settings, over which `settings` win. progress: called with (frames
    done, frames expected).

    The output gets its name only when it is whole and has passed the fidelity contract.

    Raises facefx.errors.FacefxError of some kind; nothing is published then.
    """
    from facefx.pipeline.run import run_video
    from facefx.pipeline.stills import is_still, run_still

    chosen = _settings(config, effects, settings)
    if is_still(fspath(source)):
        return run_still(fspath(source), fspath(output), chosen)
    return run_video(fspath(source), fspath(output), chosen, progress)


def analyze(
    source: PathOrUrl,
    output: PathOrUrl | None = None,
    *,
    landmarks: bool = True,
    config: PathOrUrl | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Any:
    """Find every face in a video; return a pyarrow.Table of them, one row a face a frame.

    output: also keep the table there, in Parquet, for `render`. landmarks: find each face's mesh too;
    facefx.faces.table.pixels turns that column into (m, p, 3) pixels. The columns are described in
    facefx.faces.table.

    Raises facefx.errors.FacefxError of some kind; nothing is published then.
    """
    from facefx.faces.kept import read_table
    from facefx.pipeline.analyze import analyze_video

    chosen = _settings(config, None, settings)
    with tempfile.TemporaryDirectory(prefix="facefx-") as folder:
        kept = fspath(output) if output is not None else f"{folder}/faces.parquet"
        analyze_video(fspath(source), kept, chosen, landmarks=landmarks, progress=progress)
        with staged(kept) as local:
            return read_table(local)


def render(
    source: PathOrUrl,
    faces: Any,
    output: PathOrUrl,
    effects: Effects | None = None,
    *,
    config: PathOrUrl | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> RunReport:
    """Do what `run` would with the same effects and settings, but take the faces from a table.

    faces: the path or URL of a table, or the table that `analyze` returned. Nobody looks again, and
    the bytes are the same.

    Raises facefx.errors.FacesError where the table is of another video or was changed, and what run raises.
    """
    from facefx.pipeline.run import run_video

    chosen = _settings(config, effects, settings)
    if isinstance(faces, str | PathLike):
        return run_video(fspath(source), fspath(output), chosen, progress, faces=fspath(faces))
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="facefx-") as folder:
        kept = f"{folder}/faces.parquet"
        pq.write_table(faces, kept)
        return run_video(fspath(source), fspath(output), chosen, progress, faces=kept)


def preview(
    source: PathOrUrl,
    effects: Effects | None = None,
    at: str | float | Sequence[str | float] = 0.0,
    *,
    before_after: bool = True,
    labels: bool = False,
    width: int = 1280,
    config: PathOrUrl | None = None,
    **settings: Any,
) -> Preview:
    """Show what effects would make of a moment of a video, or of a strip of moments, in a notebook.

    at: seconds or "[H:]M:S", or several of them. before_after: with the untouched frames beside the
    changed ones. labels: write times onto the frames. width: pixels across at most, 0 for all there are.
    The result has to_numpy() and save(path). Only the surroundings of each moment are read.

    Raises facefx.errors.FacefxError of some kind, such as ConfigError for a time outside the video.
    """
    from facefx.pipeline.preview import Preview, take_shots

    moments = [at] if isinstance(at, str | int | float) else list(at)
    times = [parse_time(moment) if isinstance(moment, str) else float(moment) for moment in moments]
    shots = take_shots(fspath(source), _settings(config, effects, settings), times)
    return Preview(fspath(source), tuple(shots), before_after, width, labels)


def faces(image: Any, *, landmarks: bool = True, **settings: Any) -> FoundFaces:
    """Find the faces of a photo: boxes, confidence, landmarks and named regions such as left_eye.

    image: (h, w, 3) uint8 in red, green, blue, an object that numpy takes for one (such as a PIL picture),
    or the path or URL of a photo, which is turned upright first. Coordinates are pixels of that picture,
    left and right are the subject's. The result is a sequence; a notebook shows it drawn.

    Raises facefx.errors.FacefxError of some kind, such as SourceError for a file that is no photo.
    """
    from facefx.pipeline.pictures import find_faces, read_photo

    picture = read_photo(fspath(image)) if isinstance(image, str | PathLike) else image
    return find_faces(picture, _settings(None, None, settings), landmarks=landmarks)


def _settings(config: PathOrUrl | None, effects: Effects | None, settings: dict[str, Any]) -> RunConfig:
    chosen = {**settings, "effects": effects if isinstance(effects, str | dict | None) else tuple(effects)}
    return load_config(None if config is None else Path(config), chosen)
