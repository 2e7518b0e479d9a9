"""Our half of bench_nets: from a picture to boxes or landmarks in it; `NET.net` is the net alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nets_timing import Looker, main
from facefx.faces.blazeface import look_at_squares
from facefx.faces.crop import warp
from facefx.faces.roi import Roi
from facefx.models.catalog import get_card
from facefx.models.session import Session
from facefx.models.store import load_session

Picture = NDArray[np.uint8]


def load(name: str) -> Looker:
    """A detector of one tile, a mesh that follows one face, or the bare session of either."""
    net, _, alone = name.partition(".")
    session = load_session(get_card(net))
    kind = _Tile if net.startswith("blazeface") else _Follower
    whole = kind(session)
    if not alone:
        return Looker(whole.look, np.asarray)
    feeds: dict[str, NDArray[Any]] = {}

    def run(picture: Picture) -> Any:
        if not feeds:
            feeds.update(whole.feeds(picture))
        return session.run(feeds)

    return Looker(run, lambda answer: np.zeros(0))


def _size(session: Session) -> int:
    size = session.inputs["image"][1]
    assert isinstance(size, int)
    return size


class _Tile:
    """One square tile: shrink, look, suppress."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._size = _size(session)

    def feeds(self, picture: Picture) -> dict[str, NDArray[Any]]:
        return {"image": self._shrink(picture), "threshold": np.array([0.5], np.float32)}

    def look(self, picture: Picture) -> NDArray[np.float32]:
        (seen,) = look_at_squares(self._session, self._shrink(picture), 0.5)
        return seen.xyxy

    def _shrink(self, picture: Picture) -> Picture:
        scale = len(picture) / self._size
        return warp(picture, np.diag([scale, scale, 1.0]), self._size)[None]


class _Follower:
    """One face, followed: crop where it was, look, map back. A detector finds it once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._size = _size(session)
        self._roi: Roi | None = None

    def feeds(self, picture: Picture) -> dict[str, NDArray[Any]]:
        roi = self._roi or _first(picture)
        return {"image": warp(picture, roi.matrix(self._size), self._size)[None]}

    def look(self, picture: Picture) -> NDArray[np.float64]:
        self._roi = self._roi or _first(picture)
        out = self._session.run(self.feeds(picture))
        points = self._roi.to_picture(out["landmarks"][0], self._size)
        self._roi = Roi.of_landmarks(points)
        return points[:, :2] / picture.shape[1::-1]


def _first(picture: Picture) -> Roi:
    """The square around the most confident face."""
    detector = load_session(get_card("blazeface-short"))
    feeds = _Tile(detector).feeds(picture)
    out = detector.run(feeds)
    x0, y0, x1, y1 = (out["boxes"][0, 0] * len(picture)).tolist()
    right_eye, left_eye = out["keypoints"][0, 0, :2] * len(picture)
    return Roi.of_detection((x0, y0, x1, y1), right_eye, left_eye)


if __name__ == "__main__":
    main(load)
