"""Landmarks of a face that moves evenly: looked at every few frames, checked in between, else on a line.

A window reaches from one key frame to the next. Its last frame is looked at first, then the one in its
middle: where that lies on the line between both ends, so do the frames beside it, and nobody looks there.
Where it does not, each half is a window of its own. So every look counts, and a face that talks, blinks
or turns is looked at in every frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facefx.faces.mesh_track import SAME_FACE, FaceFrame, MeshTracks, Points, Sight
from facefx.faces.roi import Roi

__all__ = ["LEAP_S", "look_window"]

LEAP_S = 0.085
"""Longest time between two looks: two frames at 24, 25 and 30 a second, a third of a blink."""

# How far a mesh may lie from the line, as a share of the face's size, and in pixels where that is more:
# the root mean square over its points, and the farthest. The net's own jitter on a face at rest is 0.2 %.
_EVEN_FRAC, _EVEN_PX = 0.004, 0.15
_FARTHEST = 3.0
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
    return found


def _leap(tracks: MeshTracks, track_id: int, frames: Sequence[FaceFrame]) -> list[Sight]:
    """One face's meshes in all frames of a window; [] where it has to be followed from frame to frame."""
    before = tracks.last(track_id)
    if len(frames) < 3 or before is None or not all(track_id in frame.boxes for frame in frames):
        return []
    pts, first = before
    end = frames[-1]
    first_box, end_box = frames[0].boxes[track_id], end.boxes[track_id]
    if not Roi.around(first_box).is_near(Roi.around(end_box), _NEAR):
        return []
    last = tracks.see(end.planes, first.roi.snapped(), end_box)
    if last is None or last.fit < SAME_FACE or not first.roi.is_near(last.roi, _NEAR):
        return []
    window = _Window(tracks, track_id, frames, pts)
    window.sights[-1], window.sights[len(frames) - 1] = first, last
    if not window.fill(-1, len(frames) - 1):
        return []
    tracks.stats.between += window.between
    return [window.sights[i] for i in range(len(frames))]


class _Window:
    """One face between two key frames. sights: by the frame's place, -1 for the key frame before."""

    def __init__(self, tracks: MeshTracks, track_id: int, frames: Sequence[FaceFrame], pts: int) -> None:
        self.sights: dict[int, Sight] = {}
        self.between = 0
        self._tracks = tracks
        self._id = track_id
        self._frames = frames
        self._pts = [*(frame.pts for frame in frames), pts]  # so that -1 is the key frame before

    def fill(self, start: int, end: int) -> bool:
        """See or conclude all between two frames that are known; False where the face is not there."""
        if end - start < 2:
            return True
        half = (self._pts[start] + self._pts[end]) / 2
        middle = min(range(start + 1, end), key=lambda i: abs(self._pts[i] - half))
        line = self._line(start, end, middle)
        frame = self._frames[middle]
        seen = self._tracks.see(frame.planes, Roi.of_landmarks(line).snapped(), frame.boxes[self._id])
        if seen is None or seen.fit < SAME_FACE:
            return False
        self.sights[middle] = seen
        if not _on_line(seen, line):
            return self.fill(start, middle) and self.fill(middle, end)
        return self._conclude(start, middle) and self._conclude(middle, end)

    def _conclude(self, start: int, end: int) -> bool:
        """Take all between two frames from the line; False where that leaves the box."""
        for i in range(start + 1, end):
            score = min(self.sights[start].score, self.sights[end].score)
            sight = Sight.of(self._line(start, end, i), self._frames[i].boxes[self._id], score)
            if sight.fit < SAME_FACE:
                return False
            self.sights[i] = sight
            self.between += 1
        return True

    def _line(self, start: int, end: int, at: int) -> Points:
        first, last = self.sights[start].points, self.sights[end].points
        share = (self._pts[at] - self._pts[start]) / (self._pts[end] - self._pts[start])
        return np.asarray(first + (last - first) * share)


def _on_line(seen: Sight, line: Points) -> bool:
    """True where a mesh lies no farther from the line than would be seen."""
    apart = seen.points[:, :2] - line[:, :2]
    squares = np.einsum("ij,ij->i", apart, apart)
    limit = max(_EVEN_FRAC * seen.size, _EVEN_PX) ** 2
    return float(squares.mean()) <= limit and float(squares.max()) <= _FARTHEST**2 * limit
