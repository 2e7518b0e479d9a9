"""Landmarks of a face that rests or moves evenly: between looks they are taken from a line.

A window reaches from one key frame to the next. Its last frame is looked at first. Where the mesh hardly
moved, the face rests: only frames are looked at whose pixels leave what both ends hold, for a blink or a
word. Else the frame in the middle is looked at: in a short window, where that lies on the line between
both ends, so do the frames beside it; where it does not, or the window is long, each half is a window of
its own. So every look counts, and a face that talks or turns is looked at in every frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.faces.mesh_track import SAME_FACE, FaceFrame, Last, MeshTracks, Points, Sight
from facefx.faces.roi import Roi

Glimpse = NDArray[np.uint8]

__all__ = ["LEAP_S", "look_window"]

LEAP_S = 0.17
"""Half of a window: four frames at 24, five at 30 a second."""

# Longest time between two looks at a face that moves: two frames at 24, 25 and 30 a second, a third of a
# blink. Half of a window that may be concluded from its middle.
_MOVING_S = 0.085
# How far a mesh may lie from the line, as a share of the face's size, and in pixels where that is more:
# the root mean square over its points, and the farthest. The net's own jitter on a face at rest is 0.2 %.
_EVEN_FRAC, _EVEN_PX = 0.004, 0.15
_FARTHEST = 3.0
# So many times that may lie between the ends of a rest: motion that begins late or ends early leaves the
# line by a third of it.
_REST = 3.0
# Luma steps by which pixels of a rest may leave what both ends hold: averages of some pixels of a face,
# whose noise is a step or two; an eyelid is 20 and more.
_CALM_STEP = 7
# A face whose box moves by more than this share of the net's square from end to end is followed frame by
# frame, as its net is used to.
_NEAR = 0.05


def look_window(tracks: MeshTracks, frames: Sequence[FaceFrame]) -> list[list[Points | None]]:
    """The landmarks of every frame of a window, in the order of its boxes.

    frames: those behind a key frame that `tracks` has seen, up to the next one. A face that is not in all
    of them, or does not stay near, is followed from frame to frame.

    Raises ModelError if the net fails.
    """
    known = {track_id: _leap(tracks, track_id, frames) for track_id in frames[-1].boxes}
    found = []
    for i, frame in enumerate(frames):
        tracks.advance(frame.pts)
        found.append(tracks.look(frame, {key: seen[i] for key, seen in known.items() if seen}))
    tracks.keep_glimpse(frames[-1])
    return found


def _leap(tracks: MeshTracks, track_id: int, frames: Sequence[FaceFrame]) -> list[Sight]:
    """One face's meshes in all frames of a window; [] where it has to be followed from frame to frame."""
    before = tracks.last(track_id)
    if len(frames) < 3 or before is None or not all(track_id in frame.boxes for frame in frames):
        return []
    first, end = before.sight, frames[-1]
    first_box, end_box = frames[0].boxes[track_id], end.boxes[track_id]
    if not Roi.around(first_box).is_near(Roi.around(end_box), _NEAR):
        return []
    last = tracks.see(end.planes, first.roi.snapped(), end_box)
    if last is None or last.fit < SAME_FACE or not first.roi.is_near(last.roi, _NEAR):
        return []
    window = _Window(tracks, track_id, frames, before)
    window.sights[-1], window.sights[len(frames) - 1] = first, last
    if not (window.rest() or window.fill(-1, len(frames) - 1)):
        return []
    tracks.stats.between += window.between
    return [window.sights[i] for i in range(len(frames))]


class _Window:
    """One face between two key frames. sights: by the frame's place, -1 for the key frame before."""

    def __init__(self, tracks: MeshTracks, track_id: int, frames: Sequence[FaceFrame], before: Last) -> None:
        self.sights: dict[int, Sight] = {}
        self.between = 0
        self._tracks = tracks
        self._id = track_id
        self._frames = frames
        self._before = before
        self._pts = [*(frame.pts for frame in frames), before.pts]  # so that -1 is the key frame before

    def rest(self) -> bool:
        """Take what rests between both ends from their line, look at what stirs; False where all moves."""
        first, end = self._before, len(self._frames) - 1
        if first.glimpse is None or not _is_near(self.sights[end], first.sight.points, _REST):
            return False
        *between, last = (self._tracks.glimpse(frame.planes, first.sight.box) for frame in self._frames)
        low = cv2.subtract(cv2.min(first.glimpse, last), (_CALM_STEP,))
        high = cv2.add(cv2.max(first.glimpse, last), (_CALM_STEP,))
        calm = [_is_within(glimpse, low, high) for glimpse in between]
        line = (-1, end)
        return all(self._take(i, line) if calm[i] else self._look(i, line) is not None for i in range(end))

    def fill(self, start: int, end: int) -> bool:
        """See or conclude all between two frames that are known; False where the face is not there."""
        if end - start < 2:
            return True
        half = (self._pts[start] + self._pts[end]) / 2
        middle = min(range(start + 1, end), key=lambda i: abs(self._pts[i] - half))
        seen = self._look(middle, (start, end))
        if seen is None:
            return False
        short = self._tracks.seconds(self._pts[end] - self._pts[start]) <= 2 * _MOVING_S
        if not short or not _is_near(seen, self._line(middle, (start, end))):
            return self.fill(start, middle) and self.fill(middle, end)
        halves = ((start, middle), (middle, end))
        return all(self._take(i, half) for half in halves for i in range(half[0] + 1, half[1]))

    def _look(self, at: int, line: tuple[int, int]) -> Sight | None:
        """See a frame, where the line between two others has the face; None where it is not there."""
        frame = self._frames[at]
        roi = Roi.of_landmarks(self._line(at, line)).snapped()
        seen = self._tracks.see(frame.planes, roi, frame.boxes[self._id])
        if seen is None or seen.fit < SAME_FACE:
            return None
        self.sights[at] = seen
        return seen

    def _take(self, at: int, line: tuple[int, int]) -> bool:
        """Take a frame from the line between two others; False where that leaves the box."""
        score = min(self.sights[end].score for end in line)
        sight = Sight.of(self._line(at, line), self._frames[at].boxes[self._id], score)
        self.sights[at] = sight
        self.between += 1
        return sight.fit >= SAME_FACE

    def _line(self, at: int, line: tuple[int, int]) -> Points:
        """Where the mesh of a frame is on the line between two others."""
        start, end = line
        first, last = self.sights[start].points, self.sights[end].points
        share = (self._pts[at] - self._pts[start]) / (self._pts[end] - self._pts[start])
        return np.asarray(first + (last - first) * share)


def _is_near(seen: Sight, points: Points, times: float = 1.0) -> bool:
    """True where a mesh lies no farther from these points than would be seen, or so many times that."""
    apart = seen.points[:, :2] - points[:, :2]
    squares = np.einsum("ij,ij->i", apart, apart)
    limit = (times * max(_EVEN_FRAC * seen.size, _EVEN_PX)) ** 2
    return float(squares.mean()) <= limit and float(squares.max()) <= _FARTHEST**2 * limit


def _is_within(glimpse: Glimpse, low: Glimpse, high: Glimpse) -> bool:
    return glimpse.shape == low.shape and not cv2.countNonZero(
        cv2.max(cv2.subtract(low, glimpse), cv2.subtract(glimpse, high))
    )
