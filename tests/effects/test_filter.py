"""libavfilter on a face: the filter that was asked for, on each plane, and nothing but that."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from effect_makers import NAMES, ODD_BOXES, channels, face, flat, noise, painted, real_face, run, stream
from numpy.typing import NDArray

from facefx.effects.chain import EffectChain
from facefx.effects.colour import codes
from facefx.effects.kernels import blur, cell_means, spread_cells
from facefx.effects.library.filter import Filter, Kind
from facefx.effects.registry import effect_class, make_spec, parse_effect
from facefx.errors import EffectError
from facefx.values import Color, FieldOrder, Planes, StreamFormat
from facefx.video import filters
from facefx.video.filters import FilterGraphs, Step, check_filters, edges, gaussian, grain, mirror, mosaic

KINDS = get_args(Kind)
FORMATS = (*NAMES, "interlaced")
BOX = (40.3, 30.6, 110.2, 100.9)
WHOLE = {"shape": "box", "grow": 1.5, "feather": 0.0}


def smooth_noise(format: StreamFormat, seed: int) -> Planes:
    """A picture with something at every scale, of legal codes."""
    planes = []
    for i, plane in enumerate(noise(format, seed)):
        low, high = format.color.chroma_range if i else format.color.luma_range
        values = plane.astype(np.float32)
        values = (
            values + 6 * cv2.GaussianBlur(values, (0, 0), 3) + 9 * cv2.GaussianBlur(values, (0, 0), 9)
        ) / 16
        middle = (low + high) / 2
        planes.append(np.rint(middle + 3 * (values - middle)).clip(low, high).astype(plane.dtype))
    return tuple(planes)


def moved(before: Planes, after: Planes) -> list[NDArray[np.int64]]:
    return [b.astype(np.int64) - a for a, b in zip(channels(before), channels(after), strict=True)]


def seen(format: StreamFormat, luma: bool) -> NDArray[np.bool_]:
    """(h, w) samples in the middle of the box, all of which are replaced."""
    sx, sy = (0, 0) if luma else (format.pixels.shift_x, format.pixels.shift_y)
    rows, columns = (
        (format.height, format.width)
        if luma
        else format.pixels.chroma_size(format.width, format.height)[::-1]
    )
    inside = np.zeros((rows, columns), bool)
    inside[48 >> sy : 84 >> sy, 56 >> sx : 94 >> sx] = True
    return inside


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_filter_runs_on_every_format_changes_the_face_and_nothing_else(name: str, kind: Kind) -> None:
    format = stream(name)
    before = smooth_noise(format, 3)
    chain = EffectChain([Filter.of(kind=kind)], format, b"seed")
    after, _ = painted(chain, before, [face(BOX)])
    assert not chain.stats.skipped, chain.stats.first
    changes = moved(before, after)
    if kind == "hue":
        assert not changes[0].any()
        assert len(changes) == 1 or np.abs(changes[1])[seen(format, luma=False)].mean() > 1
    else:
        assert np.abs(changes[0])[seen(format, luma=True)].mean() > 0.5
    for i, change in enumerate(changes):
        sx, sy = (format.pixels.shift_x, format.pixels.shift_y) if i else (0, 0)
        inside = np.zeros(change.shape, bool)
        inside[(18 >> sy) - 1 : (114 >> sy) + 2, (27 >> sx) - 1 : (124 >> sx) + 2] = True
        assert not change[~inside].any()
        low, high = format.color.chroma_range if i else format.color.luma_range
        plane = channels(after)[i]
        assert low <= plane.min()
        assert plane.max() <= high


@pytest.mark.parametrize("name", FORMATS)
def test_no_strength_is_the_same_bits(name: str) -> None:
    format = stream(name)
    assert EffectChain([Filter.of(strength=0)], format).frame(0, noise(format, 1), [face(BOX)]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_more_strength_changes_more(kind: Kind) -> None:
    format = stream("yuv444p")
    before = smooth_noise(format, 1)
    steps = []
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        after = run(Filter.of(kind=kind, strength=strength), format, before, BOX)
        steps.append(np.abs(np.stack(moved(before, after))))
    assert all((b >= a - 1).all() for a, b in pairwise(steps))
    assert np.all(np.diff([step.sum() for step in steps]) > 0)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv444p10le", "nv12"])
def test_gblur_is_the_blur_of_our_own_kernels(name: str) -> None:
    format = stream(name, 320, 320)
    before = smooth_noise(format, 2)
    after = run(Filter.of(kind="gblur", size=0.05, **WHOLE), format, before, (60, 60, 260, 260))
    for i, (old, new) in enumerate(zip(channels(before), channels(after), strict=True)):
        sx, sy = (format.pixels.shift_x, format.pixels.shift_y) if i else (0, 0)
        ours = blur(np.ascontiguousarray(old), 10 / (1 << sx), 10 / (1 << sy))
        middle = slice(110 >> sy, 210 >> sy), slice(110 >> sx, 210 >> sx)
        off = np.abs(ours[middle].astype(np.int64) - new[middle]) / (1 << (format.pixels.depth - 8))
        assert off.max() <= 2, f"plane {i}"
        assert off.mean() < 0.6


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "gray", "nv12"])
def test_pixelize_has_the_means_of_our_own_mosaic(name: str) -> None:
    format = stream(name, 320, 320)
    before = noise(format, 2)
    # The patch begins at 41 or 40: cells lie still in the picture, whatever the patch.
    box = (81.4, 81.4, 241.4, 241.4)
    after = run(Filter.of(kind="pixelize", size=0.1, **WHOLE), format, before, box)
    for i, (old, new) in enumerate(zip(channels(before), channels(after), strict=True)):
        sx, sy = (format.pixels.shift_x, format.pixels.shift_y) if i else (0, 0)
        rows, columns = np.arange(64 >> sy, 257 >> sy, 16 >> sy), np.arange(64 >> sx, 257 >> sx, 16 >> sx)
        ours = spread_cells(cell_means(np.ascontiguousarray(old), rows, columns), rows, columns)
        theirs = new[rows[0] : rows[-1], columns[0] : columns[-1]]
        assert np.abs(ours - theirs).max() <= 1, f"plane {i}"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "noise"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "interlaced"])
def test_a_box_that_stirs_on_a_still_picture_does_not_flicker(name: str, kind: Kind) -> None:
    format = stream(name, 320, 320)
    before = smooth_noise(format, 9)
    chain, frames = EffectChain([Filter.of(kind=kind)], format, b"seed"), []
    for i, away in enumerate((0.0, 0.3, -0.3, 0.2, -0.1)):
        box = (80.5 + away, 80.5 - away, 240.5 + away, 240.5 + away)
        frames.append(painted(chain, before, [face(box, pts=i)])[0][0].astype(int))
    unit = 1 << (format.pixels.depth - 8)
    assert np.mean([np.abs(b - a)[81:240, 81:240].mean() for a, b in pairwise(frames)]) < 0.5 * unit


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "yuv444p10le", "gray10le"])
def test_negate_is_the_distance_from_the_other_end(name: str) -> None:
    format = stream(name)
    before = noise(format, 4)
    after = run(Filter.of(kind="negate", **WHOLE), format, before, BOX)
    for i, (old, new) in enumerate(zip(channels(before), channels(after), strict=True)):
        low, high = format.color.chroma_range if i else format.color.luma_range
        inside = seen(format, luma=not i)
        assert np.array_equal(new[inside], (low + high - old.astype(np.int64))[inside])


def test_posterise_leaves_so_many_shades_and_the_colours() -> None:
    format = stream("yuv444p10le")
    before = noise(format, 5)
    after = run(Filter.of(kind="posterise", levels=4, **WHOLE), format, before, BOX)
    assert set(np.unique(after[0][seen(format, luma=True)])) == {64, 356, 648, 940}
    assert np.array_equal(after[1], before[1])


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "nv12"])
def test_hue_turns_colours_about_grey_and_leaves_brightness(name: str) -> None:
    format = stream(name)
    before = flat(format, codes("#c06040", format.color))
    if name == "nv12":
        before[1][...] = codes("#c06040", format.color)[1:]
    after = run(Filter.of(kind="hue", angle=180, **WHOLE), format, before, BOX)
    inside = seen(format, luma=False)
    for old, new in zip(channels(before)[1:], channels(after)[1:], strict=True):
        neutral = format.color.neutral
        assert np.abs((new[inside].astype(int) - neutral) + (old[inside].astype(int) - neutral)).max() <= 1


def test_sobel_is_white_on_edges_and_black_elsewhere() -> None:
    format = stream("yuv420p", 320, 320)
    before = flat(format, (60, 100, 160))
    before[0][:, 160:] = 200
    luma, u, _ = run(Filter.of(kind="sobel"), format, before, (80, 80, 240, 240))
    assert luma[160, 159:161].min() > 150
    assert luma[160, 120:150].max() == luma[160, 175:200].max() == 16
    assert (u[70:90, 70:90] == 128).all()


def test_unsharp_steepens_and_bilateral_keeps_an_edge() -> None:
    format = stream("gray", 320, 320)
    (before,) = flat(format, (80, 0, 0))
    before[:, 160:] = 160
    before += np.random.default_rng(1).integers(-4, 5, before.shape).astype(np.uint8)
    (sharp,) = run(Filter.of(kind="unsharp"), format, (before,), (80, 80, 240, 240))
    (soft,) = run(Filter.of(kind="bilateral"), format, (before,), (80, 80, 240, 240))
    rows = slice(120, 200)
    assert sharp[rows, 160].mean() - sharp[rows, 159].mean() > 110
    assert soft[rows, 161].mean() - soft[rows, 158].mean() > 70
    assert soft[rows, 100:140].std() < 0.5 * before[rows, 100:140].std()


def test_grain_is_new_in_every_frame_another_for_each_person_and_the_same_when_made_again() -> None:
    format = stream("yuv420p10le")
    grey, one = flat(format, (500, 512, 512)), face(BOX)
    chain = EffectChain([Filter.of(kind="noise")], format, b"seed")

    def luma(**changes: Any) -> NDArray[Any]:
        return painted(chain, grey, [replace(one, **changes)])[0][0]

    first = luma()
    assert not np.array_equal(first, luma(pts=1))
    assert not np.array_equal(first, luma(track_id=2))
    assert np.array_equal(first, luma())
    assert len(np.unique(first)) > 20
    assert abs(first[seen(format, luma=True)].astype(float).mean() - 500) < 8


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_frame_gives_the_same_bytes_whatever_came_before(kind: Kind) -> None:
    format = stream("yuv420p")
    chain = EffectChain([Filter.of(kind=kind)], format, b"seed")
    for seed in (5, 6):
        painted(chain, noise(format, seed), [face(BOX), face((10, 10, 60, 70), 2)])
    again = painted(chain, noise(format, 7), [face(BOX)])[0]
    fresh = run(Filter.of(kind=kind), format, noise(format, 7), BOX)
    assert all(np.array_equal(a, b) for a, b in zip(again, fresh, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "interlaced", "yuv411p"])
def test_tiny_faces_and_faces_cut_by_each_edge_are_filtered_too(name: str, kind: Kind) -> None:
    format = stream(name)
    size = {} if kind in {"hue", "negate", "noise", "posterise"} else {"size": 0.25}
    chain = EffectChain([Filter.of(kind=kind, **size)], format, b"seed")
    painted(chain, noise(format, 1), [face(box, i) for i, box in enumerate(ODD_BOXES)])
    assert not chain.stats.skipped, chain.stats.first


@pytest.mark.parametrize("kind", ["gblur", "pixelize", "sobel", "unsharp", "bilateral"])
def test_fields_are_never_mixed(kind: Kind) -> None:
    format = stream("yuv420p", field_order=FieldOrder.TOP_FIRST)
    before = flat(format, (60, 100, 160))
    for plane, other in zip(before, (190, 160, 90), strict=True):
        plane[1::2] = other
    after = run(Filter.of(kind=kind), format, before, BOX)
    if kind == "sobel":
        assert after[0][seen(format, luma=True)].max() == 16
        return
    for old, new in zip(before, after, strict=True):
        assert np.abs(old.astype(int) - new).max() <= 1


# Thresholds turn a small difference into a large one: hence what is allowed to posterise and sobel.
@pytest.mark.parametrize(
    ("kind", "most"), [("gblur", 2), ("bilateral", 4), ("sobel", 8), ("posterise", 8), ("hue", 4)]
)
def test_a_face_looks_the_same_at_any_resolution(
    kind: Kind, most: float, media: Path, models_dir: Path
) -> None:
    looks = []
    for scale in (0.5, 1.0):
        format, before, someone = real_face(media, models_dir, "portrait_1.jpg", scale)
        after = painted(EffectChain([Filter.of(kind=kind)], format), before, [someone])[0]
        x0, y0, x1, y1 = (int(v) for v in someone.xyxy)
        parts = [plane[y0:y1, x0:x1] for plane in after]
        looks.append([cv2.resize(part, (96, 96), interpolation=cv2.INTER_AREA) for part in parts])
    for small, large in zip(*looks, strict=True):
        assert np.abs(small.astype(int) - large).mean() < most


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filter:kind=boxblur", r"effect filter: parameter 'kind': expected one of gblur, .*, got 'boxblur'"),
        ("filter:kind=movie=/etc/passwd", r"parameter 'kind': expected one of"),
        ("filter:size=0.5", r"parameter 'size': expected number from 0.002 to 0.25, got '0.5'"),
        ("filter:kind=posterise,levels=1", r"parameter 'levels': expected whole number from 2 to 32"),
        ("filter:kind=negate,levels=3", r"levels means nothing to kind=negate, which heeds none of them"),
        ("filter:sigma=3", r"unknown parameter 'sigma'"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line_at_the_start(text: str, message: str) -> None:
    with pytest.raises(EffectError, match=message) as caught:
        parse_effect(text)
    assert "\n" not in str(caught.value)


def test_a_spec_comes_back_whole() -> None:
    spec = parse_effect("filter:kind=hue,angle=-30")
    assert type(spec).from_json(spec.to_json()) == spec
    assert effect_class("filter") is Filter


def test_a_filter_that_ffmpeg_lacks_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "filters_available", {"lut"})
    with pytest.raises(
        EffectError, match=r"effect filter: kind=gblur: libavfilter [\d.]+ was built without gblur: install"
    ):
        make_spec("filter", {})
    with pytest.raises(EffectError, match="without gblur"):
        Filter.of().prepare(stream(), b"")
    check_filters([mirror(0, 255)], "x")


def test_no_more_graphs_are_kept_than_allowed() -> None:
    graphs = FilterGraphs(most=3)
    for size in range(8, 20):
        graphs.run([gaussian(1, 1)], [np.zeros((size, 9), np.uint8)], 8)
    assert len(graphs) == 3
    graphs.close()
    assert len(graphs) == 0


def test_single_samples_share_one_graph_over_many_sizes() -> None:
    graphs = FilterGraphs()
    for size in range(65, 129):
        plane = np.full((size, 70), size, np.uint8)
        assert (graphs.run([mirror(0, 255)], [plane], 8)[0] == 255 - size).all()
    assert len(graphs) == 1


def test_a_graph_has_no_threads_of_its_own() -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    graphs, before = FilterGraphs(), threads()
    graphs.run([gaussian(3, 3)], [np.zeros((512, 512), np.uint8)], 8)
    assert threads() == before


def test_a_filter_of_eight_bits_leaves_the_lower_bits_of_ten() -> None:
    plane = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 1024
    (after,) = FilterGraphs().run([grain(20, 7)], [plane], 10)
    inside = (after > 0) & (after < 1023)
    assert ((after[inside] - plane[inside].astype(int)) % 4 == 0).all()
    assert (after != plane).mean() > 0.8


def test_what_was_converted_on_the_way_is_refused() -> None:
    with pytest.raises(EffectError, match=r"expected 64 × 64 of gray, got .* of yuvj?4"):
        FilterGraphs().run([replace(grain(5, 1), gray=True)], [np.zeros((64, 64), np.uint8)], 8)


def test_steps_are_made_of_numbers_within_what_the_filters_take() -> None:
    made = [gaussian(1e9, -1), mosaic(1e9, 0.1), edges(1e12)]
    assert [dict(step.options) for step in made] == [
        {"sigma": "1024.000000", "sigmaV": "0.000000", "steps": "3"},
        {"width": "1024", "height": "1"},
        {"scale": "65535.000000"},
    ]
    assert all(re.fullmatch(r"[\d.]+", value) for step in made for _, value in step.options)


def test_a_graph_that_libavfilter_refuses_is_one_error() -> None:
    with pytest.raises(EffectError, match="libavfilter: gblur on 8 × 8 samples"):
        FilterGraphs().run([Step("gblur", (("sigma", "-5"),))], [np.zeros((8, 8), np.uint8)], 8)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full", [False, True])
def test_codes_stay_legal_whatever_they_mean(matrix: Any, full: bool) -> None:
    format = stream("yuv444p10le", color=Color(matrix, full_range=full, depth=10))
    for kind in ("unsharp", "negate", "hue", "noise"):
        for i, plane in enumerate(run(Filter.of(kind=kind), format, noise(format, 8), BOX)):
            low, high = format.color.chroma_range if i else format.color.luma_range
            assert low <= plane.min() <= plane.max() <= high
