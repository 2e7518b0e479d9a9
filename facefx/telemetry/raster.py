"""A drawing as PNG, by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.telemetry.drawing import COLOURS, Boxes, Colour, Drawing, Label, Theme

__all__ = ["png"]

# Drawn at four times the size and given out at twice: text stays sharp on dense screens.
_DRAWN, _GIVEN = 4, 2
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Height of a capital in the Hershey font at scale 1, against 0.72 em in the fonts of the SVG.
_CAPITAL_PX, _CAPITAL_EM = 21.0, 0.72


def png(drawing: Drawing, theme: Theme = "light") -> bytes:
    """The drawing as a PNG file, twice as many pixels as the drawing is wide."""
    dark = theme == "dark"
    shape = (drawing.height * _DRAWN, drawing.width * _DRAWN, 3)
    picture = np.full(shape, _bgr("page", dark), np.uint8)
    for item in drawing.items:
        if isinstance(item, Boxes):
            _fill(picture, item, dark)
        else:
            _write(picture, item, dark)
    size = (drawing.width * _GIVEN, drawing.height * _GIVEN)
    _, data = cv2.imencode(".png", cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    return bytes(data)


def _bgr(colour: Colour, dark: bool) -> tuple[int, int, int]:
    code = COLOURS[colour][dark]
    return int(code[5:7], 16), int(code[3:5], 16), int(code[1:3], 16)


def _fill(picture: NDArray[np.uint8], boxes: Boxes, dark: bool) -> None:
    colour = _bgr(boxes.colour, dark)
    for x, y, width, height in boxes.at:
        left, top = round(x * _DRAWN), round(y * _DRAWN)
        picture[top : round((y + height) * _DRAWN), left : round((x + width) * _DRAWN)] = colour


def _write(picture: NDArray[np.uint8], label: Label, dark: bool) -> None:
    scale = label.size * _DRAWN * _CAPITAL_EM / _CAPITAL_PX
    thickness = _stroke(label)
    text = label.text.encode("ascii", "replace").decode()  # all that the older fonts have
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    left = label.x * _DRAWN - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor]
    at = (round(left), round(label.y * _DRAWN))
    cv2.putText(picture, text, at, _FONT, scale, _bgr(label.colour, dark), thickness, cv2.LINE_AA)


def _stroke(label: Label) -> int:
    """OpenCV 5 has an outline font, of which 1 is the regular weight and 2 the bold; 4 draws lines."""
    if int(cv2.__version__.split(".")[0]) >= 5:
        return 2 if label.bold else 1
    return round(label.size * _DRAWN * (0.12 if label.bold else 0.075))
