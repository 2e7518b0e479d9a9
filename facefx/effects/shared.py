"""What the effects of one chain find out about a face, so that the next one need not find it out again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from facefx.effects.masks import Mesh
from facefx.values import Face

__all__ = ["Shared"]

T = TypeVar("T")

# A face as it was found, and as it lies after a warp.
_FACES = 2


class Shared:
    """Values derived from the face that is at hand, before and after a warp; older ones go.

    An effect outside a chain has one of its own, and works the same, only slower.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Face, dict[Hashable, Any]]] = []

    def get(self, face: Face, key: Hashable, make: Callable[[], T]) -> T:
        """What make() gave for this face and key before, or gives now.

        key: names the value and all that it depends on but the face. What is returned belongs to all:
        nobody may change it.

        >>> shared, face = Shared(), object()
        >>> shared.get(face, "size", lambda: 7), shared.get(face, "size", lambda: 8)
        (7, 7)
        """
        of_face = self._of(face)
        if key not in of_face:
            of_face[key] = make()
        value: T = of_face[key]
        return value

    def _of(self, face: Face) -> dict[Hashable, Any]:
        for known, kept in self._kept:
            if known is face:
                return kept
        kept = {}
        self._kept = [(face, kept), *self._kept[: _FACES - 1]]
        return kept

    def mesh(self, face: Face) -> Mesh:
        """The face's landmarks by region.

        Raises EffectError, as Mesh does.
        """
        return self.get(face, "mesh", lambda: Mesh(face))
