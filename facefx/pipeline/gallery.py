"""What every effect makes of one face, at several settings, as pictures and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facefx.config import RunConfig
from facefx.effects.effect import Effect, EffectSpec
from facefx.effects.kernels import use_one_thread
from facefx.effects.presets import PRESET_SIGN, preset, preset_names, read_chain
from facefx.effects.registry import effect_class, effect_names, make_spec, parse_effect
from facefx.effects.samples import lacking, sample_files, samples_of, text_of
from facefx.errors import SinkError, SourceError
from facefx.pipeline.gallery_page import Card, Picture, Stage, gallery_page
from facefx.pipeline.nets import Nets, make_chain
from facefx.pipeline.pictures import FoundFace, find_faces, read_photo, save_picture, upright_rgb
from facefx.storage import publishing
from facefx.values import Face, FaceSource, Planes, StreamFormat
from facefx.video.still_pixels import planes_of

__all__ = ["Gallery", "everything", "make_cards", "make_gallery"]

_SIDE = 512
"""Pixels across each picture."""

# Of the window that is shown, in longer sides of the largest face; and how far its middle lies above the
# face's, so that a hat is in it.
_WINDOW, _RAISED = 1.9, 0.15
_SEED = b"gallery"
_PORTRAIT = "NASA's portrait of Eileen Collins, which comes with facefx"
_FILES = "files"


@dataclass(frozen=True, slots=True)
class Gallery:
    """What was made. notes: what a person should know, one line each."""

    page: Path
    effects: int
    pictures: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Scene:
    """The part of a photo that is shown, in planes of its own, with its faces."""

    format: StreamFormat
    planes: Planes
    faces: tuple[Face, ...]

    def picture(self, planes: Planes) -> Picture:
        return upright_rgb(self.format, planes)

    def changed(self, specs: Sequence[EffectSpec], nets: Nets) -> tuple[Picture, int, str]:
        """After some effects: the picture, the pixels that changed, and what went wrong if anything did."""
        chain = make_chain(specs, self.format, _SEED, nets, "cpu")
        planes = tuple(plane.copy() for plane in self.planes)
        for patch in chain.frame(0, self.planes, self.faces):
            patch.paste(planes)
        moved = np.zeros(self.planes[0].shape, bool)
        for old, new in zip(self.planes, planes, strict=True):
            moved |= old != new
        stats = chain.stats
        wrong = "; ".join(
            f"{reason} {stats.first.get(reason, '')}".strip() for reason in (*stats.blackouts, *stats.skipped)
        )
        return self.picture(planes), int(moved.sum()), wrong


def make_gallery(
    folder: Path,
    effects: Sequence[str] = (),
    photo: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Gallery:
    """Write a page of what effects make of a face, and its pictures beside it; the same bytes each time.

    effects: names, `NAME:param=value` for one setting of one's own, or @preset; all effects and presets
    where there are none. photo: path or URL; the portrait that comes with the package where there is
    none. The faces are found by the nets that come with the package. progress: called with (done, all).

    Raises EffectError, SourceError where there is no face in the photo, SinkError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder}: the folder cannot be made: {error.strerror or error}") from error
    chosen = list(effects) or everything()
    cards, before, notes = make_cards(folder, chosen, photo, progress)
    save_picture(before, folder / "before.png")
    for stage in (stage for card in cards for stage in card.stages):
        save_picture(stage.picture, folder / stage.file)
    pictures = 1 + sum(len(card.stages) for card in cards)
    about = _PORTRAIT if photo is None else Path(photo).name
    page = folder / "index.html"
    with publishing(str(page)) as publication:
        publication.write(gallery_page(cards, before, about).encode("utf-8", "backslashreplace"))
        publication.commit()
    return Gallery(page, sum(card.family != "" for card in cards), pictures, notes)


def everything() -> list[str]:
    """The names of all effects in the order in which they run, and of all presets."""
    return [*effect_names(), *(PRESET_SIGN + name for name in preset_names())]


def make_cards(
    folder: Path,
    chosen: Sequence[str],
    photo: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Card], Picture, tuple[str, ...]]:
    """What is to be shown of effects and presets, the picture before any, and notes, one line each.

    folder: for the files that effects are shown with. The rest as in make_gallery, which raises the same.
    """
    plans = [_planned(name, folder) for name in dict.fromkeys(chosen)]  # a typo ends it before the work
    use_one_thread()
    scene = _scene(_portrait() if photo is None else read_photo(photo), photo or "the portrait")
    cards, notes = [], list[str]()
    with Nets() as nets:
        for done, plan in enumerate(plans):
            cards.append(plan.shown(scene, nets, notes))
            if progress is not None:
                progress(done + 1, len(plans))
    return cards, scene.picture(scene.planes), tuple(notes)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be shown of an effect or a preset: settings as a command line says them, and as specs."""

    name: str
    effect: type[Effect] | None
    about: str
    settings: tuple[tuple[str, tuple[EffectSpec, ...]], ...]
    lacks: tuple[str, ...] = ()

    def shown(self, scene: _Scene, nets: Nets, notes: list[str]) -> Card:
        stages = []
        for number, (text, specs) in enumerate(self.settings, 1):
            picture, changed, wrong = scene.changed(specs, nets)
            if wrong:
                notes.append(f"{text}: {wrong}")
            name = self.name.removeprefix(PRESET_SIGN)
            kind = "preset" if self.effect is None else "effect"
            file = f"{kind}-{name}-{number}.png"
            stages.append(Stage(text, file, picture, changed, wrong))
        if self.lacks:
            notes.append(f"{self.name}: not shown, for it needs {', '.join(self.lacks)}")
        chain = "" if self.effect else " → ".join(spec.name for _, specs in self.settings for spec in specs)
        return Card.of(self.name, self.effect, self.about, chain, tuple(stages), self.lacks)


def _planned(asked: str, folder: Path) -> _Plan:
    """Settings of what was asked for, checked.

    Raises EffectError.
    """
    if asked.startswith(PRESET_SIGN):
        known = preset(asked.removeprefix(PRESET_SIGN))
        name = PRESET_SIGN + Path(known.name).stem
        return _Plan(name, None, known.about, ((asked, read_chain([asked])),))
    spec_name, colon, _ = asked.partition(":")
    effect = effect_class(spec_name.strip())
    if colon:
        return _Plan(effect.name, effect, "", ((asked, (parse_effect(asked),)),))
    files = sample_files(effect, folder / _FILES)
    settings = []
    for sample in samples_of(effect):
        params = {**files, **sample}
        if lacks := lacking(effect, params):
            return _Plan(effect.name, effect, "", (), lacks)
        text = text_of(effect.name, {**_beside(files, folder), **sample})
        settings.append((text, (make_spec(effect.name, params),)))
    return _Plan(effect.name, effect, "", tuple(settings))


def _beside(files: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths of sample files as seen from the page."""
    return {
        key: Path(value).relative_to(folder).as_posix() if str(value).startswith(str(folder)) else value
        for key, value in files.items()
    }


def _portrait() -> Picture:
    """The portrait that comes with the package, by NASA, in the public domain."""
    with resources.as_file(resources.files("facefx").joinpath("assets", "portrait.jpg")) as path:
        return read_photo(str(path))


def _scene(photo: Picture, name: str) -> _Scene:
    """The surroundings of the largest face at the size of the page.

    Raises SourceError where nobody is seen.
    """
    found = find_faces(photo, RunConfig(detector="blazeface"))
    if not found:
        raise SourceError(f"{name}: no face was found; choose a photo in which one is seen from the front")
    faces = sorted(found, key=lambda face: _longer(face.xyxy), reverse=True)
    left, top, side = _window(faces[0].xyxy, photo.shape[1], photo.shape[0])
    part = photo[top : top + side, left : left + side]
    scale = _SIDE / side
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = np.asarray(cv2.resize(part, (_SIDE, _SIDE), interpolation=way), np.uint8)
    pixels, color, planes = planes_of(shown)
    format = StreamFormat(pixels, _SIDE, _SIDE, Fraction(1), color)
    placed = tuple(_placed(face, number, (left, top), scale) for number, face in enumerate(faces, 1))
    return _Scene(format, planes, placed)


def _placed(face: FoundFace, number: int, corner: tuple[int, int], scale: float) -> Face:
    """A face of the photo where it lies in the part that is shown."""
    origin = np.array((*corner, 0), np.float32)
    x0, y0 = ((value - start) * scale for value, start in zip(face.xyxy[:2], corner, strict=True))
    x1, y1 = ((value - start) * scale for value, start in zip(face.xyxy[2:], corner, strict=True))
    points = None if face.landmarks is None else (face.landmarks - origin) * np.float32(scale)
    box = (x0, y0, x1, y1)
    return Face(0, number, box, face.confidence, FaceSource.DETECTED, points, face.topology)


def _longer(box: tuple[float, float, float, float]) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _window(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the square about a face, moved into the photo where it would leave it."""
    side = min(round(_WINDOW * _longer(box)), width, height)
    left = round((box[0] + box[2] - side) / 2)
    top = round((box[1] + box[3] - side) / 2 - _RAISED * _longer(box))
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side
