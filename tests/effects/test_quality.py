"""Every effect that is registered is held against what all effects must be; nothing has to be added for it.

Where an effect cannot be so, EXCEPTIONS says why. An exception that is no longer needed fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from careless_effects import (
    Counts,
    Divides,
    DrawsAgain,
    EightBits,
    Fair,
    Huge,
    Invisible,
    KnowsItsPatch,
    NeverRests,
    OneMatrix,
    OnlyTheFirst,
    Overflows,
    OverflowsAtTenBits,
    Pixels,
    Spills,
    StirsAtRest,
    Trembles,
    TurnsBack,
    Whole,
)
from quality import CHECKS, Subject, applies, flicker
from quality_scenes import Scene, scene, stream

from facefx.config import RunConfig
from facefx.effects.registry import effect_class, effect_names
from facefx.effects.samples import lacking, sample_files, samples_of
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.plan import make_analysis
from facefx.pipeline.stage import Stage
from facefx.pipeline.stages import DecodeStage, DetectStage, LandmarkStage
from facefx.telemetry.ledger import Ledger
from facefx.video.probe import probe

# (effect, check): why it cannot be so. The check must fail, or the line goes.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("sticker", "flicker"): "a picture with hard edges goes with the face by parts of a pixel",
    (
        "scramble",
        "flicker",
    ): "its cells go with a box that drifts: wherever an edge moves, there is another part of the face",
}

# Effects that need a file which neither ships nor is made by sample_files: where they are judged instead.
ELSEWHERE: dict[str, str] = {
    "mesh-shader": "test_shader.py: it needs OpenGL",
    "net": "test_net.py: it needs a net, which the test makes",
    "shader": "test_shader.py: it needs OpenGL",
}

# Least change at half strength that is promised, in codes of 8 bits, where it is less than two.
FAINT = {"circles": 1.0}  # the portrait has next to none

FLICKER_CODES = 0.5
# Frames of real clips in which somebody holds still: the face's luma moves by less than 0.6 codes a frame.
STILL = (("clips/man_headpose_480x270.mp4", 19, 24), ("clips/woman_room_1280x720.mp4", 0, 5))


def subject(name: str, folder: Path) -> Subject:
    effect = effect_class(name)
    return Subject(effect, sample_files(effect, folder), FAINT.get(name, 2.0))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def bare() -> set[str]:
    """Effects that cannot be made without a user's file."""
    found = set()
    with TemporaryDirectory() as folder:
        for name in effect_names():
            effect, made = effect_class(name), sample_files(effect_class(name), Path(folder))
            if any(lacking(effect, {**made, **sample}) for sample in samples_of(effect)):
                found.add(name)
    return found


BARE = bare()
JUDGED = [name for name in effect_names() if name not in BARE | set(ELSEWHERE)]


def marked(name: str, check: str) -> Any:
    reason = EXCEPTIONS.get((name, check))
    marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
    return pytest.param(name, check, marks=marks, id=f"{name}-{check}")


@pytest.mark.parametrize(
    ("name", "check"),
    [
        marked(name, check)
        for name in JUDGED
        for check in CHECKS
        if applies(check, Subject(effect_class(name)))
    ],
)
def test_every_effect(name: str, check: str, files: Path) -> None:
    CHECKS[check](subject(name, files))


def analysed(path: Path, first: int, end: int) -> list[Scene]:
    """Frames of a clip, with their faces as a run finds them."""
    info = probe(path)
    analysis = make_analysis(RunConfig(detector="blazeface", to_s=2.5), landmarks=True)
    assert analysis.landmarker is not None
    decode = DecodeStage(path, info, analysis)
    stages: list[Stage] = [
        DetectStage(analysis, info.video, anchor_pts=info.video.start_pts),
        LandmarkStage(analysis.landmarker, info.video, anchor_pts=info.video.start_pts),
    ]
    ledger = Ledger([decode.name, *(stage.name for stage in stages)])
    frames: list[Scene] = []
    with closing(InlineRunner(decode, stages, ledger).stream()) as works:
        for work in works:
            assert work.faces is not None
            for i in range(len(work.batch)):
                planes = tuple(plane.copy() for plane in work.batch.view(i))
                frames.append(Scene(work.batch.format, planes, tuple(work.faces.of_frame(i))))
            if len(frames) >= end:
                break
    return frames[first:end]


@pytest.fixture(scope="module")
def still(media: Path) -> list[list[Scene]]:
    """Parts of clips in which a face rests."""
    parts = [analysed(media / clip, first, end) for clip, first, end in STILL]
    for frames in parts:
        for before, after in pairwise(frames):
            (face,) = after.faces
            assert face.landmarks is not None
            x0, y0, x1, y1 = (round(value) for value in face.xyxy)
            moved = after.planes[0].astype(int) - before.planes[0]
            assert abs(moved[y0:y1, x0:x1]).mean() < 0.6
    return parts


@pytest.mark.parametrize(("name", "check"), [marked(name, "flicker") for name in JUDGED])
def test_no_effect_flickers_on_a_face_that_rests(
    name: str, check: str, files: Path, still: list[list[Scene]]
) -> None:
    for frames in still:
        assert flicker(subject(name, files), frames) < FLICKER_CODES


def test_every_effect_is_judged_or_says_where() -> None:
    assert set(ELSEWHERE) >= BARE, "declare samples or sample_files, or say in ELSEWHERE where it is judged"
    assert all(EXCEPTIONS.values())
    assert all(ELSEWHERE.values())


def test_exceptions_name_what_there_is() -> None:
    named = {name for name, _ in EXCEPTIONS} | set(ELSEWHERE) | set(FAINT)
    assert named <= set(effect_names())
    assert {check for _, check in EXCEPTIONS} <= {*CHECKS, "flicker"}


CARELESS: tuple[tuple[type[Fair], str, str], ...] = (
    (Spills, "keeps_to_its_region_and_to_legal_codes", "changed outside its region"),
    (Overflows, "keeps_to_its_region_and_to_legal_codes", "legal"),
    (OverflowsAtTenBits, "keeps_to_its_region_and_to_legal_codes", "yuv420p10le .* rose to"),
    (KnowsItsPatch, "keeps_to_its_region_and_to_legal_codes", "a wider patch"),
    (NeverRests, "rests_at_no_strength", "a region where nothing"),
    (StirsAtRest, "rests_at_no_strength", "strength 0 changed"),
    (Invisible, "is_seen_at_half_strength", "at least 2.0 are promised"),
    (TurnsBack, "does_more_at_more_strength", "of its range"),
    (EightBits, "looks_the_same_in_every_format", "codes from a change"),
    (OneMatrix, "looks_the_same_in_every_format", "codes from a change"),
    (Pixels, "looks_the_same_at_any_resolution", "codes apart"),
    (Whole, "bears_a_face_that_the_frame_cuts", "could not be broadcast"),
    (Divides, "bears_a_face_of_any_size", "division|modulo"),
    (Huge, "bears_a_face_of_any_size", "MB for a face"),
    (OnlyTheFirst, "serves_thirty_faces_as_it_serves_one", "face "),
    (DrawsAgain, "bears_faces_on_top_of_each_other", "changed outside its region"),
    (Counts, "remembers_nothing", "frames before this one"),
)


@pytest.mark.parametrize(
    ("careless", "check", "said"), CARELESS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_careless_effect_is_caught(careless: type[Fair], check: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        CHECKS[check](Subject(careless))


@pytest.mark.parametrize("check", CHECKS)
def test_a_fair_effect_passes(check: str) -> None:
    CHECKS[check](Subject(Fair))


def test_every_check_is_proved() -> None:
    assert {check for _, check, _ in CARELESS} == set(CHECKS)


def test_flicker_is_seen(still: list[list[Scene]]) -> None:
    for frames in still:
        turns: Sequence[Scene] = [
            replace(frame, faces=tuple(replace(face, pts=1000 * i) for face in frame.faces))
            for i, frame in enumerate(frames)
        ]
        assert flicker(Subject(Fair), turns) < FLICKER_CODES
        assert flicker(Subject(Trembles), turns) > FLICKER_CODES


def test_the_scene_shows_the_face_where_it_says() -> None:
    """Else all of this judges a wall."""
    view = scene(stream(size=(640, 360)), (320.0, 180.0), 200.0)
    (face,) = view.faces
    x0, y0, x1, y1 = (round(value) for value in face.xyxy)
    assert (y0 + y1) // 2 in range(178, 183)
    assert face.landmarks is not None
    mouth = view.planes[2][y0 // 2 + 60 : y1 // 2, x0 // 2 : x1 // 2].max()
    assert mouth > view.planes[2][: y0 // 2 - 10].mean() + 15  # lips are redder than the wall
