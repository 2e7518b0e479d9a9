"""What travels between the stages; NumPy only."""

from facefx.values.color import Color
from facefx.values.faces import Detections, Face, Faces, FaceSource
from facefx.values.frames import FieldOrder, FrameBatch, PixelFormat, Planes, StreamFormat
from facefx.values.patch import Patch

__all__ = [
    "Color",
    "Detections",
    "Face",
    "FaceSource",
    "Faces",
    "FieldOrder",
    "FrameBatch",
    "Patch",
    "PixelFormat",
    "Planes",
    "StreamFormat",
]
