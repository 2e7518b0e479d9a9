"""How a few moments of a video would look, without running the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from facefx.config import RunConfig
from facefx.effects.chain import EffectChain
from facefx.effects.kernels import use_one_thread
from facefx.errors import ConfigError, SourceError
from facefx.faces.analysis import Analysis
from facefx.faces.policy import REACH_S
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.nets import Nets, make_chain
from facefx.pipeline.pictures import Picture, encoded, save_picture, upright_rgb
from facefx.pipeline.plan import effect_specs, make_analysis, needs_landmarks
from facefx.pipeline.stage import Stage
from facefx.pipeline.stages import DecodeStage, DetectStage, LandmarkStage
from facefx.storage import staged
from facefx.telemetry.ledger import Ledger
from facefx.values import Face, FrameBatch
from facefx.video.info import MediaInfo
from facefx.video.probe import probe

__all__ = ["Preview", "Shot", "take_shots"]

_GAP = 4
_WHITE = 255


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One moment of a video: the frame shown then, before and after its effects, upright."""

    time_s: float
    before: Picture
    after: Picture
    faces: tuple[Face, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Preview:
    """A few moments of a video with effects; a notebook shows it as one picture.

    before_after: the untouched frame stands beside the changed one, or above it where there are
    several moments. width: pixels across at most; 0 for as many as there are. labels: write what is what.
    """

    source: str
    shots: tuple[Shot, ...]
    before_after: bool = True
    width: int = 1280
    labels: bool = False

    def to_numpy(self) -> Picture:
        """The picture, (h, w, 3) red, green, blue."""
        tiles = [self._tiles(shot) for shot in self.shots]
        rows = tiles if len(tiles) == 1 else [list(row) for row in zip(*tiles, strict=True)]
        across = sum(tile.shape[1] for tile in rows[0])
        room = self.width - _GAP * (len(rows[0]) - 1)
        scale = min(1.0, max(room, 1) / across) if self.width else 1.0
        return _stacked([_stacked([_scaled(tile, scale) for tile in row], 1) for row in rows], 0)

    def save(self, path: str | Path) -> Path:
        """Write the picture; the suffix chooses the kind: .png, .jpg or .webp.

        Raises SinkError.
        """
        return save_picture(self.to_numpy(), path)

    def _tiles(self, shot: Shot) -> list[Picture]:
        pair = {"before": shot.before, "after": shot.after} if self.before_after else {"": shot.after}
        if not self.labels:
            return list(pair.values())
        return [_labelled(tile, f"{shot.time_s:.2f} s {name}".strip()) for name, tile in pair.items()]

    def __repr__(self) -> str:
        told = ", ".join(f"{shot.time_s:g} s: {len(shot.faces)} faces" for shot in self.shots)
        return f"<preview of {self.source}, {told}>"

    def _repr_png_(self) -> bytes:
        return encoded(self.to_numpy())


@dataclass(slots=True)
class _Window:
    """A stretch to look at, in seconds, and the moments in it, in the order of time."""

    from_s: float
    to_s: float
    times: list[float]


def take_shots(source: str, config: RunConfig, times_s: Sequence[float]) -> list[Shot]:
    """Show what a run would make of the frames at these times, in seconds on a player's clock.

    Only the surroundings of each time are read. Boxes are those of a run; tracks are numbered within
    the surroundings, so that noise of an effect may fall otherwise.

    Raises ConfigError for no time or one outside the video, and what a run raises.
    """
    if not times_s:
        raise ConfigError(f"{source}: expected at least one time to show, got none; give at=0")
    with staged(source) as local:
        info = probe(local)
        info.require_supported()
        effects = effect_specs(config)
        analysis = make_analysis(config, landmarks=needs_landmarks(effects))
        for time_s in times_s:
            _check_time(info, time_s)
        shots: dict[float, Shot] = {}
        with Nets() as nets:
            seed, device = (config.seed or "").encode(), analysis.detector.device
            use_one_thread()
            chain = make_chain(effects, info.video.format, seed, nets, device)
            for window in _windows(times_s, analysis):
                frames = _frames(local, info, analysis, window) or _frames(
                    local, info, analysis, replace(window, from_s=0.0)
                )
                shots.update(_shots(frames, chain))
    if missing := [time_s for time_s in times_s if time_s not in shots]:
        raise SourceError(f"{source}: no frame can be read at {missing[0]:g} s")
    return [shots[time_s] for time_s in times_s]


def _check_time(info: MediaInfo, time_s: float) -> None:
    length = float(info.video.end_pts * info.video.format.time_base - info.start)
    if not 0 <= time_s < length:
        raise ConfigError(f"{info.path}: expected a time within 0 to {length:.3f} s, got {time_s:g}")


def _windows(times_s: Sequence[float], analysis: Analysis) -> list[_Window]:
    """What has to be seen for the faces at these times to be those of a run; overlaps are joined."""
    ahead_s = analysis.policy.look_ahead_s + 2 * analysis.policy.look_interval_s
    if analysis.landmarker is not None:
        ahead_s += 2 * analysis.landmarker.leap_s
    windows: list[_Window] = []
    for time_s in sorted(set(times_s)):
        from_s, to_s = max(0.0, time_s - REACH_S), time_s + ahead_s
        if windows and from_s <= windows[-1].to_s:
            windows[-1].to_s = to_s
            windows[-1].times.append(time_s)
        else:
            windows.append(_Window(from_s, to_s, [time_s]))
    return windows


def _frames(
    local: Path, info: MediaInfo, analysis: Analysis, window: _Window
) -> dict[float, tuple[FrameBatch, list[Face]]]:
    """The frame shown at each time of a window with its faces; nothing where one began before the window."""
    video = info.video
    part = replace(analysis, from_s=window.from_s or None, to_s=window.to_s)
    stages: list[Stage] = [DetectStage(part, video, anchor_pts=video.start_pts)]
    if part.landmarker is not None:
        stages.append(LandmarkStage(part.landmarker, video, anchor_pts=video.start_pts))
    decode = DecodeStage(local, info, part)
    ledger = Ledger([decode.name, *(stage.name for stage in stages)])
    due = {
        t: (info.start + Fraction(t).limit_denominator(1_000_000)) / video.format.time_base
        for t in window.times
    }
    found: dict[float, tuple[FrameBatch, list[Face]]] = {}
    with closing(InlineRunner(decode, stages, ledger).stream()) as stream:
        for work in stream:
            assert work.faces is not None
            for i, pts in enumerate(work.batch.pts.tolist()):
                for time_s in [t for t in window.times if pts <= due[t] or (pts == video.start_pts)]:
                    found[time_s] = (work.batch.select(i, i + 1), work.faces.of_frame(i))
            if int(work.batch.pts[-1]) > max(due.values()):
                break
    return found if len(found) == len(window.times) else {}


def _shots(frames: dict[float, tuple[FrameBatch, list[Face]]], chain: EffectChain) -> dict[float, Shot]:
    shots, format = {}, chain.format
    for time_s, (batch, faces) in frames.items():
        planes = tuple(np.array(plane) for plane in batch.view(0))
        before = upright_rgb(format, planes)
        for patch in chain.frame(0, planes, faces):
            patch.paste(planes)
        shots[time_s] = Shot(time_s, before, upright_rgb(format, planes), tuple(faces))
    return shots


def _scaled(tile: Picture, scale: float) -> Picture:
    if scale == 1:
        return tile
    size = (max(1, int(tile.shape[1] * scale)), max(1, int(tile.shape[0] * scale)))
    return np.asarray(cv2.resize(tile, size, interpolation=cv2.INTER_AREA), np.uint8)


def _stacked(tiles: Sequence[Picture], axis: int) -> Picture:
    """Tiles of one size beside (1) or below (0) each other, a little apart."""
    shape = list(tiles[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, _WHITE, np.uint8)
    parts = [part for tile in tiles for part in (gap, tile)][1:]
    return np.concatenate(parts, axis=axis)


def _labelled(tile: Picture, text: str) -> Picture:
    """A copy with some words in its upper left corner, on black."""
    drawn = np.ascontiguousarray(tile.copy())
    scale = max(0.4, drawn.shape[0] / 720)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    drawn[: height + 2 * below, : width + 2 * below] = 0
    white = (_WHITE,) * 3
    cv2.putText(drawn, text, (below, height + below), cv2.FONT_HERSHEY_SIMPLEX, scale, white, 1, cv2.LINE_AA)
    return drawn
