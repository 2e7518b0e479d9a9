"""The grid of pixelate, its noise, and the blur."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from effect_makers import Box, channels, core, face, flat, noise, painted, run, stream

from facefx.effects.cells import lay_cells
from facefx.effects.chain import EffectChain
from facefx.effects.kernels import blur, cell_means, spread_cells
from facefx.effects.library.blur import Blur
from facefx.effects.library.pixelate import Pixelate
from facefx.values import Patch

BOX: Box = (100.0, 60.0, 260.0, 220.0)
# A picture of sixteen cells of 20 pixels down: such cells are as wide as is asked.
HEIGHT = 320


def distinct(rows: np.ndarray) -> int:
    """Different values along a line, neighbours merged."""
    return int((np.diff(rows.astype(int)) != 0).sum()) + 1


@pytest.mark.parametrize("cells", [2, 5, 8, 12])
def test_a_face_never_gets_more_cells_than_allowed(cells: int) -> None:
    format = stream("yuv444p", 400, 300)
    effect = Pixelate.of(cells=cells, shape="box", noise=0.0, levels=0)
    after = run(effect, format, noise(format, 1), BOX)
    assert distinct(after[0][140, 100:260]) <= cells
    assert distinct(after[0][60:220, 180]) <= cells


def test_a_small_face_still_gets_cells_of_four_pixels() -> None:
    format = stream("yuv444p", 100, 100)
    after = run(
        Pixelate.of(cells=12, shape="box", noise=0.0, levels=0), format, noise(format, 1), (40, 40, 52, 52)
    )
    assert distinct(after[0][46, 40:52]) <= 4


def test_a_cell_is_the_mean_of_all_its_pixels_in_every_plane() -> None:
    format = stream("yuv420p", 400, HEIGHT)
    planes = noise(format, 2)
    after = run(Pixelate.of(cells=8, shape="box", noise=0.0, levels=0, grow=1.0), format, planes, BOX)
    assert abs(int(after[0][60, 100]) - planes[0][60:80, 100:120].mean()) <= 0.51
    for i in (1, 2):
        assert abs(int(after[i][30, 50]) - planes[i][30:40, 50:60].mean()) <= 0.51
        assert (after[i][30:40, 50:60] == after[i][30, 50]).all()


def test_samples_on_an_edge_count_in_part() -> None:
    """Else a mean tells which samples a grid holds, and a picture of another size has other means."""
    format = stream("yuv444p", 400, HEIGHT)
    planes = tuple(
        np.ascontiguousarray(np.broadcast_to(np.arange(400) % 200, (HEIGHT, 400)), np.uint8) for _ in "yuv"
    )
    patch = Patch.cut(format, 0, planes, (100, 60, 260, 220))
    assert patch is not None
    cells = lay_cells(patch, (100.3, 60.0, 260.3, 220.0), 8, 4)
    means = cells.means(patch.planes, format, 0)
    middles = 100 + (cells.columns[1:-2] + cells.columns[2:-1]) / 2
    assert means[0, 3, 1:4] == pytest.approx(middles[:3] - 0.5)
    assert means[0, 3, 5:-1] == pytest.approx(middles[4:] - 200.5)
    assert np.array_equal(means[0], means[2])


def test_a_size_that_drifts_keeps_its_cells() -> None:
    """Else every edge moves in every frame of a detector's box that breathes."""
    format = stream("yuv420p", 400, 300)
    sides = set()
    for grow in np.linspace(0, 8, 17):
        patch = Patch.cut(format, 0, flat(format, (90, 128, 128)), (50, 20, 350, 280))
        assert patch is not None
        sides.add(lay_cells(patch, (100 - grow, 60.0, 260.0 + grow, 220.0), 8, 4).side)
    assert len(sides) <= 2
    assert all(160 / 8 <= side <= 176 / 8 * 2 ** (1 / 8) for side in sides)


def test_the_grid_moves_with_the_face() -> None:
    format = stream("yuv444p", 400, 300)
    planes = noise(format, 3)
    moved = tuple(np.roll(plane, (10, 7), axis=(0, 1)) for plane in planes)
    effect = Pixelate.of(noise=0.1)
    before = run(effect, format, planes, BOX)
    after = run(effect, format, moved, (BOX[0] + 7, BOX[1] + 10, BOX[2] + 7, BOX[3] + 10))
    assert np.array_equal(before[0][70:210, 110:250], after[0][80:220, 117:257])


def test_the_noise_stays_with_a_person_and_differs_between_persons() -> None:
    format = stream("yuv444p", 400, 300)
    planes = flat(format, (100, 128, 128))

    def seen(track_id: int, pts: int, seed: bytes) -> np.ndarray:
        chain = EffectChain([Pixelate.of(noise=0.2, levels=0)], format, seed)
        return painted(chain, planes, [face(BOX, track_id, pts)])[0][0]

    assert np.array_equal(seen(1, 0, b"a"), seen(1, 99, b"a"))
    assert not np.array_equal(seen(1, 0, b"a"), seen(2, 0, b"a"))
    assert not np.array_equal(seen(1, 0, b"a"), seen(1, 0, b"b"))
    assert np.abs(seen(1, 0, b"a").astype(int) - 100).max() <= 0.2 * 219 + 1


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "nv12", "gray", "yuvj420p"])
def test_a_mosaic_has_few_levels_and_they_belong_to_the_person(name: str) -> None:
    format = stream(name, 400, 300)
    planes = noise(format, 3)
    for plane in planes:  # a slope, so that the cells' means differ
        plane[...] = (
            plane // 4
            + np.linspace(0, 0.7, plane.shape[1])[:, None][:, : plane.ndim - 1].T.reshape(
                (1, -1, 1)[: plane.ndim]
            )
            * format.color.peak
        )

    def levels(track_id: int, count: int) -> list[set[int]]:
        effect = Pixelate.of(levels=count, shape="box", noise=0.3)
        after, _ = painted(EffectChain([effect], format, b"s"), planes, [face(BOX, track_id)])
        inside = [after[0][60:220, 100:260], *(plane[40:90, 60:120] for plane in channels(after)[1:])]
        return [set(np.unique(part).tolist()) for part in inside]

    luma, *chroma = levels(1, 6)
    assert 3 <= len(luma) <= 8
    assert all(len(part) <= 14 for part in chroma)
    assert luma != levels(2, 6)[0]
    assert luma == levels(1, 6)[0]
    assert len(levels(1, 0)[0]) > 30


def test_averaging_frames_of_a_face_at_rest_gains_nothing() -> None:
    """Without levels the sensor's noise would let the average tell the cells' means exactly."""
    format = stream("yuv444p", 400, 300)
    random = np.random.default_rng(1)
    scene = random.uniform(60, 180, (4, 6)).repeat(80, 0)[:300].repeat(70, 1)[:, :400]
    frames = [
        tuple(np.rint(scene + random.normal(0, 3, scene.shape)).astype(np.uint8) for _ in "yuv")
        for _ in range(24)
    ]

    def seen(count: int) -> np.ndarray:
        chain = EffectChain([Pixelate.of(levels=count, shape="box")], format, b"s")
        return np.stack([painted(chain, planes, [face(BOX, pts=i)])[0][0] for i, planes in enumerate(frames)])

    def steady(shown: np.ndarray) -> float:
        return float((np.ptp(shown[:, 70:210, 110:250], axis=0) == 0).mean())

    assert steady(seen(16)) > 0.9
    assert steady(seen(0)) < 0.9


def test_faces_with_equal_cells_give_equal_mosaics() -> None:
    """What a mosaic promises: nothing of a cell but its mean is told."""
    format = stream("yuv444p", 400, HEIGHT)
    one = noise(format, 5)
    other = tuple(plane.copy() for plane in one)
    for plane in other:
        for top in range(60, 220, 20):
            for left in range(100, 260, 20):
                cell = plane[top : top + 20, left : left + 20]
                cell[...] = np.random.default_rng(top + left).permutation(cell.ravel()).reshape(20, 20)
    a, b = (run(Pixelate.of(shape="box", grow=1.0), format, planes, BOX) for planes in (one, other))
    assert all(np.array_equal(x[60:220, 100:260], y[60:220, 100:260]) for x, y in zip(a, b, strict=True))


def test_a_mosaic_of_the_whole_picture_has_more_cells_than_places() -> None:
    format = stream("yuv420p", 640, 480)
    planes = noise(format, 1)
    after = run(Pixelate.of(shape="frame", levels=0), format, planes, (300.0, 200.0, 320.0, 224.0))
    assert distinct(after[0][210]) > 100


def test_many_persons_do_not_fill_the_memory() -> None:
    format = stream()
    effect = Pixelate.of()
    effect.prepare(format, b"")
    first = effect._noise(0)[0].copy()
    for track_id in range(1000):
        effect._noise(track_id)
    assert len(effect._noises) <= 256
    assert np.array_equal(effect._noise(0)[0], first)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cell_means_are_exact(dtype: type[np.uint8] | type[np.uint16]) -> None:
    plane = np.random.default_rng(1).integers(0, 255 if dtype == np.uint8 else 1023, (37, 53)).astype(dtype)
    rows, columns = np.array([0, 4, 20, 37]), np.array([0, 7, 30, 53])
    means = cell_means(plane, rows, columns)
    assert means[1, 2] == pytest.approx(plane[4:20, 30:53].mean(), abs=1e-3)
    spread = spread_cells(means, rows, columns)
    assert spread.shape == plane.shape
    assert (spread[4:20, 30:53] == means[1, 2]).all()


@pytest.mark.parametrize("sigma", [2.0, 9.0, 25.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_quick_blur_looks_like_a_gaussian(sigma: float, dtype: type[np.uint8] | type[np.uint16]) -> None:
    plane = np.zeros((181, 203), dtype)
    plane[60:120, 70:140] = 255 if dtype == np.uint8 else 1023
    exact = cv2.GaussianBlur(plane.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    off = np.abs(blur(plane, sigma, sigma).astype(np.float32) - exact) / plane.max()
    assert off.max() < 0.03
    assert off.mean() < 0.006


def test_a_stronger_blur_leaves_less() -> None:
    format = stream("yuv420p", 400, 300)
    planes = noise(format, 4)
    planes[0][60:220:20, 100:260] = 235
    mask = core(format, BOX)
    left = [
        float(run(Blur.of(strength=strength), format, planes, BOX)[0][mask].std())
        for strength in (0.02, 0.06, 0.12, 0.25, 0.5)
    ]
    assert left == sorted(left, reverse=True)
    assert left[0] < planes[0][mask].std() / 2


def test_a_blur_is_as_strong_at_any_resolution() -> None:
    """A strength in pixels would leave a large face readable."""
    results = []
    for scale in (1, 3):
        format = stream("yuv444p", 240 * scale, 200 * scale)
        planes = flat(format, (50, 128, 128))
        planes[0][80 * scale : 120 * scale, 90 * scale : 140 * scale] = 200
        box = (60.0 * scale, 40.0 * scale, 180.0 * scale, 160.0 * scale)
        after = run(Blur.of(), format, planes, box)[0]
        results.append(cv2.resize(after, (240, 200), interpolation=cv2.INTER_AREA).astype(int))
    assert np.abs(results[0] - results[1])[50:150, 70:170].max() <= 6


def test_colour_is_hidden_as_well_as_brightness() -> None:
    format = stream("yuv420p", 400, 300)
    planes = flat(format, (100, 128, 128))
    planes[1][50:90, 70:90] = 200
    for effect in (Pixelate.of(cells=2, noise=0.0, levels=0), Blur.of(strength=0.5)):
        u = channels(run(effect, format, planes, BOX))[1]
        assert np.ptp(u[40:100, 60:120]) < 40
