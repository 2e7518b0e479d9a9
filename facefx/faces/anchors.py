"""Single points of a face by name, for what is hung on, painted at or moved from them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from facefx.errors import ConfigError

__all__ = ["anchors"]

# Points on the face's middle line, and pairs (the subject's left, right). The tests hold them against the
# regions: a corner of an eye is on that eye's outline, the chin on the oval.
_MIDDLE = {
    "forehead": 10,
    "brow_middle": 9,
    "nose_root": 168,
    "nose_bridge": 6,
    "nose_tip": 4,
    "nose_base": 2,
    "lip_top": 0,
    "mouth_top": 13,
    "mouth_bottom": 14,
    "lip_bottom": 17,
    "chin": 152,
}
_PAIRS = {
    "eye_outer": (263, 33),
    "eye_inner": (362, 133),
    "eye_top": (386, 159),
    "eye_bottom": (374, 145),
    "brow_outer": (300, 70),
    "brow_inner": (285, 55),
    "mouth_corner": (291, 61),
    "nostril": (327, 98),
    "nose_wing": (358, 129),
    "cheek": (425, 205),
    "cheekbone": (345, 116),
    "temple": (389, 162),
    "ear": (454, 234),
    "jaw": (397, 172),
    "jaw_front": (379, 150),
}
_MEDIAPIPE: Mapping[str, int] = MappingProxyType(
    _MIDDLE
    | {f"left_{name}": pair[0] for name, pair in _PAIRS.items()}
    | {f"right_{name}": pair[1] for name, pair in _PAIRS.items()}
)
_OF = MappingProxyType({"mediapipe-468": _MEDIAPIPE, "mediapipe-478": _MEDIAPIPE})


def anchors(topology: str) -> Mapping[str, int]:
    """Names of a topology's points and their places in its landmarks; left and right are the subject's.

    Raises ConfigError for a topology without any.

    >>> anchors("mediapipe-468")["chin"]
    152
    """
    known = _OF.get(topology)
    if known is None:
        raise ConfigError(f"topology {topology!r} has no named points; expected one of {', '.join(_OF)}")
    return known
