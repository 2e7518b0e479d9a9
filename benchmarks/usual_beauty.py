"""The loop that most people write to smooth skin, run in MediaPipe's environment: it knows no facefx.

Every frame becomes RGB; Face Mesh follows one face; a bilateral filter smooths the face's rectangle; a
soft mask of the oval without eyes, brows and lips blends it in; the frame goes back to YUV and to the
encoder. The codecs are set as everywhere in these benchmarks: one thread each, sound copied.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import cv2
import mediapipe  # type: ignore[import-not-found]
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Loop = list[int]


def loop_of(edges: Iterable[tuple[int, int]]) -> Loop:
    """The corners of a region in order, from MediaPipe's own set of edges."""
    after = dict(edges)
    first = at = next(iter(after))
    corners = [first]
    while (at := after[at]) != first:
        corners.append(at)
    return corners


def hull_of(edges: Iterable[tuple[int, int]]) -> Loop:
    """The points of a region whose edges form no one loop; their hull is taken."""
    return sorted({corner for edge in edges for corner in edge})


class Smoother:
    """Face Mesh and what is drawn from it."""

    def __init__(self) -> None:
        known = mediapipe.solutions.face_mesh
        self.mesh = known.FaceMesh(max_num_faces=1)
        self.oval = loop_of(known.FACEMESH_FACE_OVAL)
        edges = (known.FACEMESH_LEFT_EYE, known.FACEMESH_RIGHT_EYE, known.FACEMESH_LIPS)
        brows = (known.FACEMESH_LEFT_EYEBROW, known.FACEMESH_RIGHT_EYEBROW)
        self.features = [hull_of(each) for each in (*edges, *brows)]

    def smooth(self, picture: Picture) -> bool:
        """Smooth the face of an RGB picture in place; False where none was found."""
        found = self.mesh.process(picture).multi_face_landmarks
        if not found:
            return False
        height, width = picture.shape[:2]
        points = np.array([(p.x * width, p.y * height) for p in found[0].landmark], np.float32)
        left, top, w, h = cv2.boundingRect(points[self.oval])
        left, top, right, bottom = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
        part = picture[top:bottom, left:right]
        if not part.size:
            return False
        smoothed = cv2.bilateralFilter(part, 9, 40, 9)
        mask = self._mask(points - np.array((left, top), np.float32), part.shape[:2])
        blended = part + (smoothed.astype(np.float32) - part) * (0.5 * mask[..., None])
        part[...] = np.clip(np.rint(blended), 0, 255)
        return True

    def _mask(self, points: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
        mask = np.zeros(shape, np.uint8)
        corners = np.rint(points).astype(np.int32)
        cv2.fillPoly(mask, [corners[self.oval]], (255,))
        for feature in self.features:
            cv2.fillConvexPoly(mask, cv2.convexHull(corners[feature]), (0,))
        return np.asarray(cv2.GaussianBlur(mask, (15, 15), 0), np.float32) / np.float32(255)


def transcode(source: str, target: str, preset: str, crf: str) -> tuple[int, int]:
    """Decode, smooth, encode with libx264, copy the sound; return the number of frames, and of faces."""
    frames = seen = 0
    smoother = Smoother()
    with av.open(source) as clip, av.open(target, "w") as out:
        video: Any = clip.streams.video[0]
        video.codec_context.thread_count = 1
        encoder: Any = out.add_stream(
            "libx264", rate=video.average_rate, options={"preset": preset, "crf": crf}
        )
        encoder.width, encoder.height, encoder.pix_fmt = video.width, video.height, "yuv420p"
        encoder.codec_context.time_base = video.time_base or Fraction(1, 90000)
        encoder.codec_context.thread_count = 1
        sounds = {sound.index: out.add_stream_from_template(sound) for sound in clip.streams.audio}
        for packet in clip.demux(video, *clip.streams.audio):
            if packet.stream.index in sounds:
                if packet.dts is not None:
                    packet.stream = sounds[packet.stream.index]
                    out.mux(packet)
                continue
            decoded: list[Any] = packet.decode()
            for frame in decoded:
                picture = frame.to_ndarray(format="rgb24")
                seen += smoother.smooth(picture)
                edited = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
                edited.pts, edited.time_base = frame.pts, frame.time_base
                out.mux(encoder.encode(edited))
                frames += 1
        out.mux(encoder.encode())
    return frames, seen


if __name__ == "__main__":
    frames, seen = transcode(*sys.argv[1:5])
    if seen < 0.9 * frames:
        raise SystemExit(f"only {seen} of {frames} frames had a face: there is nothing to compare")
    print(frames, seen)
