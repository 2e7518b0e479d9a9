"""shape: another shape of the face: slimmer, a longer chin, larger eyes, a smile; one smooth warp."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from pydantic import Field as Parameter

from facefx.effects.effect import Effect, EffectParams, Rectangle
from facefx.effects.warp import Field, Push, Pushes, both_sides, moved_face, reach_of, warp
from facefx.values import Face, Patch

__all__ = ["Shape"]

# A face that is smaller, in pixels, is moved by less than can be seen.
_MIN_SIZE_PX = 8.0


def _both_ways(description: str) -> float:
    """A slider from -1 to 1."""
    value: float = Parameter(0.0, ge=-1.0, le=1.0, description=description)
    return value


def _one_way(description: str) -> float:
    """A slider from 0 to 1."""
    value: float = Parameter(0.0, ge=0.0, le=1.0, description=description)
    return value


class ShapeParams(EffectParams):
    """Parameters of shape: what is 0 stays as it is."""

    slim: float = _one_way("Narrower cheeks and jaw.")
    v_shape: float = _one_way("A face that tapers towards the chin.")
    chin: float = _both_ways("Chin: shorter (-1) to longer (1).")
    jaw: float = _both_ways("Corners of the jaw: narrower (-1) to wider (1).")
    cheekbones: float = _both_ways("Cheekbones: narrower (-1) to wider (1).")
    forehead: float = _both_ways("Forehead: lower (-1) to higher (1).")
    nose_width: float = _both_ways("Nose: narrower (-1) to wider (1).")
    nose_length: float = _both_ways("Nose: shorter (-1) to longer (1).")
    eye_size: float = _both_ways("Eyes: smaller (-1) to larger (1).")
    eye_distance: float = _both_ways("Eyes: closer (-1) to wider apart (1).")
    eye_angle: float = _both_ways("Outer corners of the eyes: lower (-1) to higher (1).")
    mouth_size: float = _both_ways("Mouth: smaller (-1) to larger (1).")
    smile: float = _both_ways("Corners of the mouth: down (-1) to up (1).")


def _outline(push: Push) -> tuple[Push, Push]:
    """Both sides of the face's outline; the far one is soft cheek long before it is out of sight."""
    return both_sides(replace(push, hidden=(0.3, 0.7)))


_EYE = ("eye_inner", "eye_outer")
_MOUTH = ("left_mouth_corner", "right_mouth_corner", "lip_top", "lip_bottom")
# Lengths in face diameters (Mesh.size); a face is about 0.85 wide, its eyes 0.18 and its mouth 0.43. No push
# reaches further beyond the oval than 0.2. Judged by eye on stills and clips: at 0.5 a change that is seen
# but believed, at 1 as much as a face bears.
_SLIDERS = MappingProxyType(
    {
        "slim": _outline(
            Push(("ear", "jaw"), (0.20, 0.36, 0.22), (-0.055, 0, 0), (-0.02, 0.01, 0), flat=False)
        ),
        "v_shape": (
            *_outline(
                Push(
                    ("jaw_front", "jaw"), (0.22, 0.30, 0.23), (-0.05, -0.01, 0), (-0.05, -0.05, 0), flat=False
                )
            ),
            Push(("chin",), (0.18, 0.18, 0.18), (0, 0.02, 0), flat=False),
        ),
        "chin": (Push(("chin",), (0.30, 0.21, 0.21), (0, 0.06, 0), (0, -0.02, 0), flat=False),),
        "jaw": _outline(Push(("jaw",), (0.22, 0.25, 0.23), (0.05, 0, 0), (-0.05, -0.01, 0), flat=False)),
        "cheekbones": _outline(
            Push(("cheekbone", "ear"), (0.21, 0.21, 0.17), (0.045, 0, 0), (-0.04, 0.05, 0), flat=False)
        ),
        "forehead": (Push(("forehead",), (0.45, 0.19, 0.19), shift=(0, -0.045, 0)),),
        "nose_width": (
            Push(("nose_tip", "nose_base"), (0.25, 0.22, 0.22), offset=(0, -0.02, 0), widen=0.22),
        ),
        "nose_length": (Push(("nose_tip",), (0.24, 0.185, 0.20), shift=(0, 0.035, 0), offset=(0, 0.02, 0)),),
        "eye_size": both_sides(Push(_EYE, (0.20, 0.20, 0.20), scale=0.25)),
        "eye_distance": both_sides(Push(_EYE, (0.21, 0.18, 0.18), shift=(0.03, 0, 0))),
        "eye_angle": both_sides(Push(_EYE, (0.20, 0.20, 0.20), turn=0.16)),
        "mouth_size": (Push(_MOUTH, (0.37, 0.24, 0.27), scale=0.20),),
        "smile": (
            *both_sides(Push(("mouth_corner",), (0.17, 0.15, 0.15), (0.012, -0.04, 0), flat=False)),
            *both_sides(Push(("cheek",), (0.20, 0.20, 0.20), (0, -0.012, 0), flat=False)),
        ),
    }
)


class Shape(Effect):
    """Give the face another shape: thirteen sliders, one smooth warp that leaves all but the head in place.

    All planes are resampled once. What is too much at once is held back as a whole, so that nothing folds
    over. Effects that come later find the face where it has been moved to.
    """

    name = "shape"
    family = "geometry"
    needs = frozenset({"box", "landmarks"})
    Params = ShapeParams
    params: ShapeParams

    def __init__(self, params: EffectParams) -> None:
        super().__init__(params)
        values = dict(self.params)
        self._pushes = Pushes([(push, values[name]) for name, pushes in _SLIDERS.items() for push in pushes])

    def region(self, face: Face) -> Rectangle | None:
        """As far as the warp reaches; None where all sliders are 0."""
        field = self._field(face) if self._pushes else None
        return None if field is None else reach_of(field)

    def apply(self, patch: Patch, face: Face) -> None:
        """Move what the sliders name."""
        field = self._field(face) if self._pushes else None
        if field is not None:
            warp(patch, field)

    def moved(self, face: Face) -> Face:
        """The face with its landmarks where the warp puts them."""
        field = self._field(face) if self._pushes else None
        return face if field is None else moved_face(field, face)

    def _field(self, face: Face) -> Field | None:
        """A face's field, or None where the face is too small; found once, for apply follows region."""
        mesh = self.shared.mesh(face)
        if mesh.size < _MIN_SIZE_PX:
            return None
        return self.shared.get(face, ("warp", self.params), lambda: self._pushes.field(face, mesh))
