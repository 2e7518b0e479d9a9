"""The face's mean shape and its unwrapping, made again from our own net's look at the shipped portrait.

`python -m facefx.effects.uv_build` writes the package's data and the picture for artists.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.uv import LAYOUT, UvLayout, read_layout
from facefx.faces.anchors import anchors
from facefx.faces.landmarker import choose_landmarker, load_mesh
from facefx.faces.roi import Roi
from facefx.faces.still import mesh_at
from facefx.faces.topology import topology

__all__ = ["build_layout", "draw_layout", "mirror_pairs", "portrait_landmarks", "write_layout"]

Points = NDArray[np.float64]
Pairs = NDArray[np.intp]

_TOPOLOGY = "mediapipe-468"
# The face in the portrait, from the hair line to the chin, and how often the net looks again where it
# has just seen it: its answer has settled by then.
_PORTRAIT_FACE, _LOOKS = (178.0, 66.0, 270.0, 182.0), 8
# The mouth's points lie so close that the nearest mirrored one may be its neighbour's: within so many
# half widths of the lips, pairs are found by triangles alone.
_MOUTH = 1.15
# The cylinder that a face is unrolled from: its radius in face diameters, its front at the root of the nose.
_RADIUS = 0.3
# A folded nostril or lip is spread by moving points half way to the mean of their neighbours, so often.
_RELAXED = 4
_MARGIN = 0.02
_DIGITS = 4


def portrait_landmarks() -> Points:
    """Return (468, 3) landmarks of the shipped portrait, in its pixels.

    Raises ModelError where the net cannot be loaded.
    """
    data = np.frombuffer(files("facefx").joinpath("assets", "portrait.jpg").read_bytes(), np.uint8)
    picture = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    net = load_mesh(choose_landmarker("facemesh-468"))
    roi = Roi.around(_PORTRAIT_FACE)
    found: Points | None = None
    for _ in range(_LOOKS):
        found = mesh_at(net, picture, roi)
        assert found is not None, "there is a face in the portrait"
        roi = Roi.of_landmarks(found)
    net.close()
    assert found is not None
    return found


def build_layout(landmarks: Points) -> str:
    """Return the mean shape and its places in a texture as JSON; the same landmarks give the same text.

    landmarks: (468, 3) of a face that looks about into the camera; both its halves are averaged.
    """
    shape = _upright(_symmetric(landmarks))
    uv = _unrolled(shape)
    rows = ",\n".join(
        "  " + json.dumps([round(value, _DIGITS) + 0.0 for value in (*point, *place)], separators=(",", ":"))
        for point, place in zip(shape.tolist(), uv.tolist(), strict=True)
    )
    return f'{{\n "columns": ["x", "y", "z", "u", "v"],\n "points": [\n{rows}\n ]\n}}\n'


def mirror_pairs(landmarks: Points) -> Pairs:
    """Return (468,) the point on the other side of the face for each point; the middle's is itself."""
    names = anchors(_TOPOLOGY)
    other = {name: name.replace("left", "*").replace("right", "left").replace("*", "right") for name in names}
    here = np.array([names[name] for name in names])
    there = np.array([names[other[name]] for name in names])
    flipped = landmarks * (-1, 1, 1)
    near, away = np.zeros(len(landmarks), np.intp), np.zeros((len(landmarks), len(landmarks)))
    for _ in range(3):
        reflected = _aligned(flipped[there], landmarks[here], flipped)
        away = ((landmarks[:, None] - reflected[None]) ** 2).sum(axis=-1)
        near = away.argmin(axis=1)
        here = np.flatnonzero(near[near] == np.arange(len(near)))
        there = near[here]
    lips = landmarks[list(topology(_TOPOLOGY).regions["lips_outer"])]
    from_mouth = np.linalg.norm(landmarks - lips.mean(axis=0), axis=1)
    close = from_mouth < _MOUTH * np.linalg.norm(lips - lips.mean(axis=0), axis=1).max()
    pairs = np.full(len(near), -1, np.intp)
    sure = [i for i in here.tolist() if near[i] == i or not (close[i] or close[near[i]])]
    pairs[sure] = near[sure]
    return _completed(pairs, away)


def _completed(pairs: Pairs, away: Points) -> Pairs:
    """Find the pairs that are missing (-1) where most triangles say so, the nearest of equals first."""
    third = {
        (a, b): c
        for t in topology(_TOPOLOGY).triangles.tolist()
        for a, b, c in (t, t[1:] + t[:1], t[2:] + t[:2])
    }
    while (pairs < 0).any():
        votes: Counter[tuple[int, int]] = Counter()
        for (a, b), c in third.items():
            mate = third.get((int(pairs[b]), int(pairs[a])), -1)
            if pairs[a] >= 0 and pairs[b] >= 0 and pairs[c] < 0 and mate >= 0 and pairs[mate] < 0:
                votes[c, mate] += 1
        point, mate = max(sorted(votes), key=lambda pair: (votes[pair] + votes[pair[::-1]], -away[pair]))
        pairs[point], pairs[mate] = mate, point
    return pairs


def _aligned(source: Points, target: Points, points: Points) -> Points:
    """Turn and move points as takes (n, 3) source nearest to target."""
    middle, goal = source.mean(axis=0), target.mean(axis=0)
    left, _, right = np.linalg.svd((source - middle).T @ (target - goal))
    turn = left @ np.diag((1, 1, np.sign(np.linalg.det(left @ right)))) @ right
    return np.asarray((points - middle) @ turn + goal)


def _symmetric(landmarks: Points) -> Points:
    """The mean of a face and its mirror image."""
    pairs = mirror_pairs(landmarks)
    flipped = (landmarks * (-1, 1, 1))[pairs]
    both = (landmarks + _aligned(flipped, landmarks, flipped)) / 2
    across = both - both[pairs]
    # Exactly so: what is left of each pair is a reflection along one line.
    axis = np.linalg.svd(across)[2][0]
    axis = axis * np.sign(axis[0])
    return np.asarray(both + (across @ axis)[:, None] / 2 * axis - across / 2)


def _upright(both: Points) -> Points:
    """Lay a symmetric face so that x is to its left, y from forehead to chin, z away from the viewer.

    The origin is the middle of its oval, the unit its diameter (see masks.Mesh.size).
    """
    names, oval = anchors(_TOPOLOGY), list(topology(_TOPOLOGY).regions["face_oval"])
    across = both[names["left_ear"]] - both[names["right_ear"]]
    across /= np.linalg.norm(across)
    down = both[names["chin"]] - both[names["forehead"]]
    down -= across * (down @ across)
    down /= np.linalg.norm(down)
    laid = (both - both[oval].mean(axis=0)) @ np.stack((across, down, np.cross(across, down))).T
    return np.asarray(laid / (2 * np.sqrt((laid[oval] ** 2).sum() / len(oval))))


def _unrolled(shape: Points) -> Points:
    """Places (n, 2) in the unit square: a cylinder about the face unrolled, folds spread, sides kept."""
    axis = shape[anchors(_TOPOLOGY)["nose_root"], 2] + _RADIUS
    uv = np.stack((np.arctan2(shape[:, 0], axis - shape[:, 2]) * _RADIUS, shape[:, 1]), axis=1)
    joined = np.zeros((len(uv), len(uv)))
    for triangle in topology(_TOPOLOGY).triangles.tolist():
        joined[np.ix_(triangle, triangle)] = 1
    np.fill_diagonal(joined, 0)
    joined /= joined.sum(axis=1, keepdims=True)
    inner = np.setdiff1d(np.arange(len(uv)), topology(_TOPOLOGY).regions["face_oval"])
    for _ in range(_RELAXED):
        uv[inner] = (uv[inner] + (joined @ uv)[inner]) / 2
    low, high = uv.min(axis=0), uv.max(axis=0)
    return np.asarray(0.5 + (uv - (low + high) / 2) * ((1 - 2 * _MARGIN) / (high - low).max()))


def draw_layout(layout: UvLayout, side: int = 1024) -> NDArray[np.uint8]:
    """Return (side, side, 3) red, green, blue: what an artist draws a texture upon.

    Triangles are grey, regions coloured (the subject's left blue, right red), named points labelled.
    """
    picture = np.full((side, side, 3), 255, np.uint8)
    places = np.rint(layout.uv * side * 16 - 8).astype(np.int32)
    for corners, colour in _outlines(layout, places):
        cv2.polylines(picture, [corners], True, colour, 1, cv2.LINE_AA, 4)
    for name, i in anchors(_TOPOLOGY).items():
        x, y = (int(value) // 16 for value in places[i])
        cv2.circle(picture, (x, y), 3, (20, 20, 20), -1, cv2.LINE_AA)
        text = name.removeprefix("left_")
        if not name.startswith("right_"):
            cv2.putText(
                picture, text, (x + 5, y + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (20, 20, 20), 1, cv2.LINE_AA
            )
    return picture


def _outlines(
    layout: UvLayout, places: NDArray[np.int32]
) -> Iterator[tuple[NDArray[np.int32], tuple[int, int, int]]]:
    kind = topology(_TOPOLOGY)
    for triangle in kind.triangles:
        yield places[triangle], (205, 205, 205)
    for name, loop in kind.regions.items():
        side = {"left": (30, 90, 220), "right": (220, 60, 40)}
        yield places[list(loop)], side.get(name.split("_")[0], (20, 130, 60))


def write_layout(data: Path = LAYOUT, picture: Path | None = None) -> None:
    """Write the package's data, and the picture where a place is given."""
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text(build_layout(portrait_landmarks()), encoding="utf-8")
    if picture is not None:
        cv2.imwrite(str(picture), draw_layout(read_layout(data.read_text(encoding="utf-8")))[..., ::-1])


if __name__ == "__main__":
    write_layout(picture=Path(sys.argv[1] if len(sys.argv) > 1 else "docs/uv-layout.png"))
