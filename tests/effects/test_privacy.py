"""What hiding a face must never do: leak it, reach too far, or leave the legal codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from effect_makers import (
    NAMES,
    Box,
    channels,
    chroma_under,
    core,
    face,
    noise,
    painted,
    run,
    stream,
    write_png,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from facefx.effects import kernels
from facefx.effects.chain import EffectChain
from facefx.effects.effect import Effect
from facefx.effects.library.blur import Blur
from facefx.effects.library.image import Image
from facefx.effects.library.pixelate import Pixelate
from facefx.effects.library.scramble import Scramble
from facefx.effects.library.solid import Solid
from facefx.effects.shapes import MAX_AREA_RATIO, Outline
from facefx.values import Face, Patch, StreamFormat

FORMATS = (*NAMES, "interlaced")
BOXES = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    st.floats(-60, 170),
    st.floats(-60, 130),
    st.floats(1, 150),
    st.floats(1, 150),
)
SOME_BOXES: tuple[Box, ...] = (
    (40.3, 30.7, 104.9, 110.2),
    (-30.0, -20.0, 50.0, 60.0),
    (20.0, 20.0, 28.0, 29.0),
    (110.5, 70.5, 190.0, 140.0),
    (10.0, 5.0, 150.0, 118.0),
)


@pytest.fixture(scope="module")
def sticker(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture that is half transparent, and clear in its middle."""
    rgba = np.zeros((60, 50, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 200, 128
    rgba[20:40, 15:35, 3] = 0
    return write_png(str(tmp_path_factory.mktemp("sticker") / "half.png"), rgba)


def every(sticker: str) -> list[Effect]:
    return [
        Solid.of(),
        Solid.of(colour="#d03020", feather=0.2),
        Solid.of(shape="box", colour="#2040d0"),
        Pixelate.of(noise=0.5),
        Pixelate.of(shape="box", cells=3),
        Blur.of(),
        Blur.of(shape="box", strength=0.4, feather=0.0),
        Image.of(path=sticker),
        Scramble.of(),
        Scramble.of(shape="box", cells=24, feather=0.1),
    ]


def leaks(make: Callable[[], Effect], format: StreamFormat, box: Box, shape: str = "ellipse") -> int:
    """How many samples of the face's core tell two different faces apart."""
    one, other = (run(make(), format, noise(format, seed), box) for seed in (1, 2))
    luma = core(format, box, shape)
    masks = [luma]
    if len(channels(one)) > 1:
        masks += [chroma_under(format, luma)] * 2
    return sum(
        int((a != b)[mask].sum()) for a, b, mask in zip(channels(one), channels(other), masks, strict=True)
    )


class _Leaky(Solid):
    """Fades inside the face, as a careless feather does."""

    name = "leaky"

    def outline(self, face: Face, feather: float, grow: float | None = None) -> Outline:
        whole = super().outline(face, feather, grow)
        assert isinstance(whole, Outline)
        return Outline(whole.shape, whole.centre, (1.0, 1.0), whole.outer)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("box", SOME_BOXES, ids=lambda box: f"at{box[0]:.0f}")
def test_two_faces_under_solid_give_the_same_bytes(name: str, box: Box) -> None:
    format = stream(name)
    assert leaks(Solid.of, format, box) == 0
    assert leaks(lambda: Solid.of(feather=0.25, grow=1.5), format, box) == 0
    assert leaks(lambda: Solid.of(shape="box"), format, box, "box") == 0
    assert leaks(lambda: Solid.of(shape="box", feather=0.1), format, box, "box") == 0


@given(box=BOXES, grow=st.floats(1.0, 1.5), feather=st.sampled_from([0.0, 0.05, 0.25]), at=st.integers(0, 12))
@settings(max_examples=120, deadline=None)
def test_solid_leaks_nothing_wherever_the_box_lies(box: Box, grow: float, feather: float, at: int) -> None:
    assert leaks(lambda: Solid.of(grow=grow, feather=feather), stream(FORMATS[at]), box) == 0


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv422p10le", "gray"])
def test_a_transparent_picture_does_not_show_the_face(name: str, sticker: str) -> None:
    for box in SOME_BOXES:
        assert leaks(lambda: Image.of(path=sticker), stream(name), box) == 0


def test_the_leak_check_sees_a_feather_inside_the_face() -> None:
    assert leaks(lambda: _Leaky.of(feather=0.2), stream(), SOME_BOXES[0]) > 1000


@pytest.mark.parametrize("name", FORMATS)
def test_pixels_outside_the_region_stay_bit_for_bit(name: str, sticker: str) -> None:
    format = stream(name)
    before = noise(format, 3)
    for effect in every(sticker):
        for box in SOME_BOXES:
            after = run(effect, format, before, box)
            region = effect.region(face(box))
            assert region is not None
            rectangle = Patch.rectangle(format, region)
            assert rectangle is not None
            inside = np.zeros((format.height, format.width), bool)
            inside[rectangle[1] : rectangle[3], rectangle[0] : rectangle[2]] = True
            masks = [inside, *[chroma_under(format, inside)] * 2]
            for old, new, mask in zip(channels(before), channels(after), masks, strict=False):
                assert (old == new)[~mask].all(), effect.name
                assert (old != new)[mask].any(), effect.name


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "nv12"])
@pytest.mark.parametrize("box", [SOME_BOXES[2], SOME_BOXES[0]], ids=["small", "large"])
def test_a_patch_that_is_larger_than_the_region_is_left_alone_around_it(name: str, box: Box) -> None:
    format = stream(name)
    planes = noise(format, 4)
    someone = face(box)
    for effect in (Solid.of(), Solid.of(shape="box"), Pixelate.of(), Blur.of(), Solid.of(feather=0.2)):
        effect.prepare(format, b"")
        patch = Patch.cut(format, 0, planes, (0, 0, format.width, format.height))
        assert patch is not None
        effect.apply(patch, someone)
        region = effect.region(someone)
        assert region is not None
        x0, y0, x1, y1 = Patch.rectangle(format, region) or (0, 0, 0, 0)
        assert (patch.planes[0] != planes[0])[y0:y1, x0:x1].any()
        if isinstance(effect, Solid):
            assert (patch.planes[0][core(format, box)] == format.color.luma_range[0]).all()
        patch.planes[0][y0:y1, x0:x1] = planes[0][y0:y1, x0:x1]
        assert np.array_equal(patch.planes[0], planes[0])


def _largest_ratio(effect: Effect, format: StreamFormat, box: Box) -> tuple[float, float]:
    """The patch's area in boxes, and what the box alone takes on the chroma grid."""
    effect.prepare(format, b"")
    region = effect.region(face(box))
    assert region is not None
    large = stream_of_size(format, 4000)
    patch, least = Patch.rectangle(large, region), Patch.rectangle(large, box)
    assert patch is not None
    assert least is not None
    area = (box[2] - box[0]) * (box[3] - box[1])
    taken, needed = ((r[2] - r[0]) * (r[3] - r[1]) / area for r in (patch, least))
    return taken, needed


def stream_of_size(format: StreamFormat, size: int) -> StreamFormat:
    """The same stream, large enough to cut nothing off."""
    return StreamFormat(
        format.pixels, size, size, format.time_base, format.color, field_order=format.field_order
    )


@given(
    corner=st.tuples(st.floats(300, 320), st.floats(300, 320)),
    size=st.tuples(st.floats(1, 60), st.floats(1, 60)),
    at=st.integers(0, 12),
    grow=st.floats(1.0, 1.5),
)
@settings(max_examples=300, deadline=None)
def test_no_patch_is_larger_than_two_and_a_half_boxes(
    corner: tuple[float, float], size: tuple[float, float], at: int, grow: float, sticker: str
) -> None:
    box = (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
    for effect in (Solid.of(grow=grow), Image.of(path=sticker, grow=grow)):
        taken, needed = _largest_ratio(effect, stream(FORMATS[at]), box)
        assert taken <= max(MAX_AREA_RATIO, needed)
        if min(size) >= 8:
            assert taken <= MAX_AREA_RATIO


def test_a_large_face_gets_the_growth_that_was_asked_for() -> None:
    taken, _ = _largest_ratio(Solid.of(grow=1.3), stream(), (500, 500, 700, 750))
    assert 1.69 <= taken < 1.75


@pytest.mark.parametrize("name", FORMATS)
def test_every_chroma_sample_that_colours_the_face_is_replaced(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    format = stream(name, 400, 300)
    if format.pixels.layout == "gray":
        assert len(run(Solid.of(), format, noise(format, 1), (50, 50, 200, 200))) == 1
        return

    def missed(effect: Solid, box: Box) -> int:
        effect.prepare(format, b"")
        outline = effect.outline(face(box), effect.params.feather)
        assert isinstance(outline, Outline)
        (cx, cy), (half_x, half_y) = outline.centre, outline.inner
        inner = core(format, (cx - half_x, cy - half_y, cx + half_x, cy + half_y))
        after = run(effect, format, tuple(plane * 0 + 77 for plane in noise(format, 1)), box)
        u = channels(after)[1]
        return int((u == 77)[chroma_under(format, inner)].sum())

    for box in ((60.2, 41.7, 221.3, 250.9), (151.9, 80.4, 290.0, 270.0), (-40.0, 20.0, 150.0, 260.0)):
        assert missed(Solid.of(colour="#f00000"), box) == 0
        assert missed(Solid.of(colour="#f00000", feather=0.1), box) == 0
    monkeypatch.setattr(kernels, "_chroma_margin", lambda pixels, interlaced: -3.0)
    assert missed(Solid.of(colour="#f00000"), (60.2, 41.7, 221.3, 250.9)) > 0


@pytest.mark.parametrize("name", FORMATS)
def test_codes_stay_legal(name: str, sticker: str) -> None:
    format = stream(name)
    for effect in every(sticker):
        for seed, box in enumerate(SOME_BOXES):
            for i, plane in enumerate(channels(run(effect, format, noise(format, seed), box))):
                low, high = format.color.chroma_range if i else format.color.luma_range
                assert plane.min() >= low, effect.name
                assert plane.max() <= high, effect.name


@pytest.mark.parametrize(
    "box",
    [
        (10.0, 10.0, 10.0, 30.0),
        (30.0, 10.0, 20.0, 30.0),
        (-90.0, -90.0, -40.0, -40.0),
        (400.0, 10.0, 430.0, 50.0),
        (1e9, 1e9, 2e9, 2e9),
    ],
    ids=["empty", "inside-out", "before", "beyond", "far-beyond"],
)
def test_a_box_without_pixels_changes_nothing(box: Box, sticker: str) -> None:
    format = stream()
    planes = noise(format, 5)
    for effect in every(sticker):
        chain = EffectChain([effect], format)
        assert chain.frame(0, planes, [face(box)]) == []
        assert not chain.stats.blackouts


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "box",
    [(20.4, 20.4, 21.4, 21.4), (0.0, 0.0, 0.5, 0.5), (160.2, 120.1, 161.0, 121.0), (-1e6, -1e6, 1e6, 1e6)],
    ids=["one-pixel", "corner", "last-pixel", "huge"],
)
def test_extreme_boxes_are_covered_without_an_error(name: str, box: Box, sticker: str) -> None:
    format = stream(name)
    planes = noise(format, 6)
    for effect in every(sticker):
        chain = EffectChain([effect], format)
        after, patches = painted(chain, planes, [face(box)])
        assert len(patches) == 1, effect.name
        assert not chain.stats.blackouts, chain.stats.first
        if isinstance(effect, Solid):
            middle = core(format, box)
            assert (channels(after)[0][middle] == channels(after)[0][middle][:1]).all()


def test_ten_bit_codes_do_not_wrap() -> None:
    format = stream("yuv420p10le")
    planes = tuple(np.full_like(plane, 1023) for plane in noise(format, 1))
    for effect in (Solid.of(colour="white", feather=0.2), Pixelate.of(noise=0.5), Blur.of()):
        after = run(effect, format, planes, SOME_BOXES[0])
        # Codes above white that were there before may stay outside the face; none may come out small.
        assert after[0].min() >= 900 - 0.5 * 876
        assert after[0].max() <= 1023


def test_interlaced_patches_start_on_whole_pairs_of_fields() -> None:
    format = stream("interlaced")
    patch = EffectChain([Solid.of()], format).frame(0, noise(format, 1), [face(SOME_BOXES[0])])[0]
    assert patch.y % 4 == 0


def test_blur_says_that_it_is_cosmetic() -> None:
    from facefx.effects.reference import describe

    info = describe(Blur)
    assert "osmetic" in info.summary
    assert "2506.12344" in info.caution
    assert not Solid.caution


def test_opencv_is_kept_on_one_core() -> None:
    import cv2

    kernels.use_one_thread()
    assert cv2.getNumThreads() == 1


def test_the_shipped_effects_are_where_users_look(tmp_path: Path) -> None:
    from facefx.effects.registry import effect_names

    assert {"solid", "pixelate", "blur", "image", "scramble", "net"} <= set(effect_names())
