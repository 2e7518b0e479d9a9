"""Landmarks of a face that rests or moves evenly: between looks they are taken from a line.

A window reaches from one key frame to the next. Its last frame is looked at first. Where the mesh hardly
moved, the face rests: only frames are looked at whose pixels are not between theirs, for a blink or a
word. Else the frame in the middle is looked at: in a short window, where that lies on the line between
both ends, so do the frames beside it; where it does not, or the window is long, each half is a window of
its own. So every look counts, and a face that talks or turns is looked at in every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np

from facefx.faces.mesh_track import GAP_S, SAME_FACE, FaceFrame, Last, MeshTracks, Points, Sight
from facefx.faces.roi import Roi

__all__ = ["LEAP_S", "look_window"]

LEAP_S = 0.17
"""Half of the longest time between two looks: four frames at 24, five at 30 a second."""

# Longest time between two looks at a face that moves: two frames at 24, 25 and 30 a second, a third of a
# blink. Half of a window that may be concluded from its middle.
_MOVING_S = 0.085
# How far a mesh may lie from the line, as a share of the face's size, and in pixels where that is more:
# the root mean square over its points, and the farthest. The net's own jitter on a face at rest is 0.2 %.
_EVEN_FRAC, _EVEN_PX = 0.004, 0.15
_FARTHEST = 3.0
# So many times that may lie between the ends of a rest, where pixels have the last word.
_REST = 4.0
# How far pixels of a rest may be from the line between both ends, in luma steps: a part of how much the
# face's own differ, within bounds. They are averages, whose noise is a step or two; an eyelid is 20 and
# more in good light.
_CALM_FRAC, _CALM_STEPS = 0.2, (3.0, 7.0)
# A face whose box moves by more than this share of the net's square from end to end is followed frame by
# frame, as its net is used to.
_NEAR = 0.05


def look_window(
    tracks: MeshTracks, frames: Sequence[FaceFrame], *, anew: bool = False
) -> list[list[Points | None]]:
    """The landmarks of every frame of a window, in the order of its boxes.

    frames: those behind a key frame that `tracks` has seen, up to the next one. A face that is not in all
    of them, or does not stay near, is followed from frame to frame. anew: in the last frame, faces are
    looked at afresh; see MeshTracks.afresh.

    Raises ModelError if the net fails.
    """
    known = {track_id: _leap(tracks, track_id, frames, anew) for track_id in frames[-1].boxes}
    found = []
    for i, frame in enumerate(frames):
        tracks.advance(frame.pts)
        ready = {key: seen[i] for key, seen in known.items() if seen}
        found.append(tracks.look(frame, ready, anew=anew and frame is frames[-1]))
    tracks.keep_glimpse(frames[-1])
    return found


def _leap(tracks: MeshTracks, track_id: int, frames: Sequence[FaceFrame], anew: bool) -> list[Sight]:
    """One face's meshes in all frames of a window; [] where it has to be followed from frame to frame."""
    before = tracks.last(track_id)
    if len(frames) < 3 or before is None or not all(track_id in frame.boxes for frame in frames):
        return []
    window = _Window(tracks, track_id, frames, before)
    first, end = before.sight, frames[-1]
    first_box, end_box = frames[0].boxes[track_id], end.boxes[track_id]
    if window.has_gap or not Roi.around(first_box).is_near(Roi.around(end_box), _NEAR):
        return []
    if anew:
        last = tracks.afresh(end.planes, first.roi.roll, end_box)
    else:
        last = tracks.see(end.planes, first.roi.snapped(), end_box)
    if last is None or last.fit < SAME_FACE or not first.roi.is_near(last.roi, _NEAR):
        return []
    window.sights[-1], window.sights[len(frames) - 1] = first, last
    done = window.rest() if window.rests else window.fill(-1, len(frames) - 1)
    return [window.sights[i] for i in range(len(frames))] if done else []


class _Window:
    """One face between two key frames. sights: by the frame's place, -1 for the key frame before."""

    def __init__(self, tracks: MeshTracks, track_id: int, frames: Sequence[FaceFrame], before: Last) -> None:
        self.sights: dict[int, Sight] = {}
        self._tracks = tracks
        self._id = track_id
        self._frames = frames
        self._before = before
        self._end = len(frames) - 1
        self._pts = [*(frame.pts for frame in frames), before.pts]  # so that -1 is the key frame before

    @property
    def has_gap(self) -> bool:
        """True where a face would be forgotten between two of the frames."""
        pts = [self._before.pts, *(frame.pts for frame in self._frames)]
        return any(self._tracks.seconds(b - a) > GAP_S for a, b in pairwise(pts))

    @cached_property
    def rests(self) -> bool:
        """True where the mesh of both ends is nearly the same, and so are the pixels of most frames."""
        near = _is_near(self.sights[self._end], self._before.sight.points, _REST)
        return near and 2 * sum(self._calm) >= self._end

    @cached_property
    def _calm(self) -> list[bool]:
        """For each frame between the ends, whether its pixels are where the line between theirs has them."""
        first, box = self._before.glimpse, self._before.sight.box
        if first is None or not first.size:
            return [False] * self._end
        last = self._tracks.glimpse(self._frames[-1].planes, box)
        spread = float(cv2.meanStdDev(first)[1][0, 0])
        step = min(max(_CALM_FRAC * spread, _CALM_STEPS[0]), _CALM_STEPS[1])
        calm = []
        for i in range(self._end):
            share = self._share(i, (-1, self._end))
            line = cv2.addWeighted(first, 1 - share, last, share, 0)
            glimpse = self._tracks.glimpse(self._frames[i].planes, box)
            calm.append(bool(cv2.norm(glimpse, line, cv2.NORM_INF) <= step))
        return calm

    def rest(self) -> bool:
        """Take what rests from the line between both ends, look at what stirs; False where it is lost."""
        line = (-1, self._end)
        return all(
            self._take(i, line) if calm else self._look(i, line) is not None
            for i, calm in enumerate(self._calm)
        )

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
        box = self._frames[at].boxes[self._id]
        self.sights[at] = Sight.of(self._line(at, line), box, score, looked=False)
        return self.sights[at].fit >= SAME_FACE

    def _line(self, at: int, line: tuple[int, int]) -> Points:
        """Where the mesh of a frame is on the line between two others."""
        first, last = (self.sights[end].points for end in line)
        return np.asarray(first + (last - first) * self._share(at, line))

    def _share(self, at: int, line: tuple[int, int]) -> float:
        """How much of the time between two frames has passed at a third."""
        start, end = (self._pts[i] for i in line)
        return (self._pts[at] - start) / (end - start)


def _is_near(seen: Sight, points: Points, times: float = 1.0) -> bool:
    """True where a mesh lies no farther from these points than would be seen, or so many times that."""
    apart = seen.points[:, :2] - points[:, :2]
    squares = np.einsum("ij,ij->i", apart, apart)
    limit = (times * max(_EVEN_FRAC * seen.size, _EVEN_PX)) ** 2
    return float(squares.mean()) <= limit and float(squares.max()) <= _FARTHEST**2 * limit
