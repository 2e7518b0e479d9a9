"""The filter against its own equations, and what it must never do to codes that are none of its business."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facefx.effects.guided import Smoothing, blurred, correct, plan_smoothing, shrink

Small = NDArray[np.float32]
Wide = NDArray[np.float64]


def window_sums(values: Wide, sigma: float) -> Wide:
    """Sums under a Gaussian window that is cut off at two sigma, edges repeated: plain loops over offsets."""
    reach = max(1, round(2 * sigma))
    kernel = np.array([math.exp(-(d**2) / (2 * sigma**2)) for d in range(-reach, reach + 1)])
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if i == axis else (0, 0) for i in (0, 1)]
        padded, length = np.pad(values, pad, mode="edge"), values.shape[axis]
        parts = [k * np.take(padded, range(i, i + length), axis) for i, k in enumerate(kernel)]
        values = np.sum(parts, axis=0)
    return values


def reference(plane: Wide, weight: Wide, sigma: float, eps: float) -> Wide:
    """The guided filter of a plane by itself, equations 5 to 8, each window weighted by the mask."""
    total = window_sums(weight, sigma) + 1e-12
    mean = window_sums(plane * weight, sigma) / total
    variance = window_sums(plane * plane * weight, sigma) / total - mean**2
    a = variance / (variance + eps)
    b = mean - a * mean
    a, b = (window_sums(part * weight, sigma) / total for part in (a, b))
    return np.asarray(plane + weight * (a * plane + b - plane))


def texture(seed: int = 0, shape: tuple[int, int] = (60, 70), codes: float = 8) -> Wide:
    return np.asarray(np.rint(np.random.default_rng(seed).normal(120, codes, shape)))


def bump(shape: tuple[int, int] = (60, 70)) -> Wide:
    """A weight that fades and is exactly 0 at its edges."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    return np.asarray(np.clip(1.5 - 2 * np.hypot(x[None, :], y[:, None]), 0, 1))


def plan(plane: Wide, weight: Wide, detail: float = 0.0, eps: float = 100, sigma: float = 4) -> Smoothing:
    small = plane.astype(np.float32)
    return plan_smoothing(
        small, blurred(small, 1.2), weight.astype(np.float32), sigma=sigma, eps=eps, detail=detail
    )


def smoothed(plane: NDArray[Any], smoothing: Smoothing, strength: float = 1.0, step: int = 1) -> NDArray[Any]:
    done = plane.copy()
    correct(done, smoothing, step, step, strength, (0, 255 if plane.dtype == np.uint8 else 1023))
    return done


@pytest.mark.parametrize(("sigma", "eps"), [(1.5, 30.0), (4.0, 100.0), (7.0, 900.0)])
def test_the_filter_is_the_one_that_its_source_describes(sigma: float, eps: float) -> None:
    plane = texture() + 40 * (np.arange(70) > 35)
    for weight in (np.ones_like(plane), bump()):
        smoothing = plan(plane, weight, eps=eps, sigma=sigma)
        ours = plane * (1 - smoothing.slope) + smoothing.offset
        seen = (weight == 0) | (weight > 0.05)  # below it our guard against dividing by zero shows
        assert np.abs(ours - reference(plane, weight, sigma, eps))[seen].max() < 0.05
        codes = smoothed(plane.astype(np.uint8), smoothing).astype(np.int64)
        assert np.abs(codes - reference(plane, weight, sigma, eps))[seen].max() <= 0.55


def test_texture_goes_and_an_edge_stays() -> None:
    plane = texture(codes=3) + 90 * (np.arange(70) > 35)
    done = smoothed(plane.astype(np.uint8), plan(plane, np.ones_like(plane))).astype(np.float64)
    assert done[:, 5:30].std() < 0.5 * plane[:, 5:30].std()
    assert (done[:, 36] - done[:, 35]).mean() > 0.9 * (plane[:, 36] - plane[:, 35]).mean()


def test_a_flat_plane_keeps_its_codes_and_nothing_gets_brighter() -> None:
    for code in (16, 120, 235):
        flat = np.full((60, 70), code, np.uint8)
        assert np.array_equal(smoothed(flat, plan(flat.astype(np.float64), bump())), flat)
    plane = texture(3)
    assert (
        abs(smoothed(plane.astype(np.uint8), plan(plane, np.ones_like(plane))).mean() - plane.mean()) < 0.05
    )


@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize("detail", [0.0, 0.4])
def test_codes_without_weight_stay_bit_for_bit(step: int, detail: float) -> None:
    plane = np.random.default_rng(1).integers(0, 256, (60 * step, 70 * step)).astype(np.uint8)
    small = shrink(plane, step, step, (70, 60)).astype(np.float64)
    done = smoothed(plane, plan(small, bump(), detail), step=step)
    reached = shrink(
        np.kron(bump() > 0, np.ones((step, step))).astype(np.uint8), 1, 1, (70 * step, 60 * step)
    )
    for axis in (0, 1):  # what is grown from a sample reaches into the next one
        near = np.roll(reached, step, axis), np.roll(reached, -step, axis)
        reached = np.maximum(reached, np.maximum(*near)) if step > 1 else reached
    assert np.array_equal(done[reached == 0], plane[reached == 0])
    assert (done != plane)[reached > 0].any()


def test_what_lies_beside_the_mask_does_not_bleed_into_it() -> None:
    plane = texture()
    weight = np.ones_like(plane)
    weight[:, 40:] = 0
    other = np.where(weight > 0, plane, 5)
    one, two = (smoothed(p.astype(np.uint8), plan(p, weight))[:, :40].astype(int) for p in (plane, other))
    assert np.abs(one - two).max() <= 1


def test_strength_scales_the_change_and_none_changes_nothing() -> None:
    plane = texture(5).astype(np.uint8)
    smoothing = plan(plane.astype(np.float64), np.ones((60, 70)))
    assert np.array_equal(smoothed(plane, smoothing, 0.0), plane)
    whole, half = (smoothed(plane, smoothing, s).astype(np.float64) - plane for s in (1.0, 0.5))
    assert np.abs(half - whole / 2).max() <= 1


def test_detail_keeps_the_finest_texture_and_lets_coarse_blotches_go() -> None:
    fine = texture(7, codes=4) - 120
    coarse = blurred(texture(8, codes=25).astype(np.float32) - 120, 3.0)
    plane = 120 + fine + coarse
    left = {}
    for detail in (0.0, 0.5):
        smoothing = plan(plane, np.ones_like(plane), detail, eps=900, sigma=8)
        done = plane * (1 - smoothing.slope) + smoothing.offset - 120
        rest = blurred(done.astype(np.float32), 1.2)
        left[detail] = float((done - rest).std()), float(blurred(rest, 2.0).std())
    assert left[0.5][0] > 1.8 * left[0.0][0]
    assert left[0.5][1] == pytest.approx(left[0.0][1], rel=0.15)


@pytest.mark.parametrize(
    ("legal", "dtype"), [((16, 235), np.uint8), ((64, 940), np.uint16), ((0, 1023), np.uint16)]
)
def test_no_code_leaves_the_legal_range_and_none_is_pulled_into_it(
    legal: tuple[int, int], dtype: Any
) -> None:
    low, high = legal
    plane = np.full((40, 40), high - 2, dtype)
    plane[:, :20] = low + 2
    plane[0, 0], plane[0, 39] = max(low - 9, 0), min(high + 9, 255 if dtype == np.uint8 else 1023)
    push = Smoothing(np.zeros((40, 40), np.float32), np.where(plane > 128, 50, -50).astype(np.float32))
    push.offset[0] = 0
    done = plane.copy()
    correct(done, push, 1, 1, 1.0, legal)
    assert (done[1:].min(), done[1:].max()) == legal
    assert np.array_equal(done[0], plane[0])


def test_ten_bits_are_smoothed_as_finely_as_they_are_stored() -> None:
    plane = texture(9) * 4
    smoothing = plan(plane, np.ones_like(plane), eps=1600)
    done = smoothed(plane.astype(np.uint16), smoothing)
    assert np.abs(done - reference(plane, np.ones_like(plane), 4, 1600)).max() <= 0.6
    assert len(np.unique(done % 4)) == 4


def test_a_small_copy_holds_exact_means_and_repeats_the_last_line_of_odd_planes() -> None:
    plane = np.random.default_rng(2).integers(0, 1024, (13, 11)).astype(np.uint16)
    whole = np.pad(plane, ((0, 3), (0, 1)), mode="edge").astype(np.float64)
    assert np.allclose(shrink(plane, 4, 4, (3, 4)), whole.reshape(4, 4, 3, 4).mean(axis=(1, 3)), atol=1e-3)
    assert np.array_equal(shrink(plane[::2], 1, 1, (11, 7)), plane[::2].astype(np.float32))


@pytest.mark.parametrize(("across", "down"), [(2, 1), (4, 2), (8, 8), (6, 2), (3, 3)])
def test_means_taken_by_halves_are_no_other_than_those_taken_at_once(across: int, down: int) -> None:
    plane = np.random.default_rng(5).integers(0, 1024, (down * 30, across * 40)).astype(np.uint16)
    at_once = plane.astype(np.float64).reshape(30, down, 40, across).mean(axis=(1, 3))
    apart = np.abs(shrink(plane, across, down, (40, 30)) - at_once).max()
    # Sums of codes are exact, and so are their halves; a third is not.
    assert apart <= (1e-3 if across % 3 == 0 else 0)


def test_what_is_known_in_floats_gives_the_codes_that_the_plane_itself_gives() -> None:
    plane = texture(6).astype(np.uint8)
    smoothing = plan(plane.astype(np.float64), np.ones(plane.shape), eps=100)
    alone, known = plane.copy(), plane.copy()
    floats = plane.astype(np.float32)
    correct(alone, smoothing, 1, 1, 1.0, (16, 235))
    correct(known, smoothing, 1, 1, 1.0, (16, 235), floats)
    assert (alone != plane).any()
    assert np.array_equal(alone, known)
    assert np.array_equal(floats, plane)


def test_a_filter_on_a_small_copy_agrees_with_the_whole_one() -> None:
    plane = np.clip(blurred(texture(4, (240, 280), 60).astype(np.float32), 5.0) + 20, 0, 255)
    one = plan(plane.astype(np.float64), np.ones_like(plane), sigma=16)
    small = shrink(plane, 4, 4, (70, 60)).astype(np.float64)
    four = plan(small, np.ones_like(small), sigma=4)
    codes = plane.astype(np.uint8)
    assert (codes != smoothed(codes, one)).mean() > 0.5
    apart = smoothed(codes, one).astype(np.int64) - smoothed(codes, four, step=4)
    assert np.abs(apart).max() <= 3


def test_a_blur_without_width_is_the_copy_itself() -> None:
    small = texture().astype(np.float32)
    assert blurred(small, 0) is small
    assert np.abs(blurred(small, 2.0) - window_sums(small.astype(np.float64), 2.0)).max() < 1e-3


@pytest.mark.parametrize("halvings", [1, 2])
@pytest.mark.parametrize("shape", [(60, 70), (61, 73)])
def test_windows_on_wider_squares_smooth_as_those_on_all(halvings: int, shape: tuple[int, int]) -> None:
    plane = texture(11, shape, 12) + 40 * (np.arange(shape[1]) > 35)
    small, weight = plane.astype(np.float32), bump(shape).astype(np.float32)
    done = []
    for times in (0, halvings):
        smoothing = plan_smoothing(
            small, blurred(small, 1.2), weight, sigma=1.6 * 2**halvings, eps=300, detail=0.3, halvings=times
        )
        assert not smoothing.slope[weight == 0].any()
        assert not smoothing.offset[weight == 0].any()
        done.append(plane * (1 - smoothing.slope) + smoothing.offset)
    moved = np.abs(done[0] - plane)[weight > 0.5].mean()
    apart = np.abs(done[1] - done[0])[weight > 0.5]
    assert apart.mean() < 0.1 * moved
    assert apart.max() < 4
