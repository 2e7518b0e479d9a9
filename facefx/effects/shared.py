"""What the effects of one chain find out about a face, so that the next one need not find it out again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from facefx.effects.masks import Mesh
from facefx.values import Face

__all__ = ["Shared"]

T = TypeVar("T")


class Shared:
    """Values derived from the face that is at hand; those of the last one go when another comes.

    An effect outside a chain has one of its own, and works the same, only slower.
    """

    def __init__(self) -> None:
        self._face: Face | None = None
        self._kept: dict[Hashable, Any] = {}

    def get(self, face: Face, key: Hashable, make: Callable[[], T]) -> T:
        """What make() gave for this face and key before, or gives now.

        key: names the value and all that it depends on but the face. What is returned belongs to all:
        nobody may change it.

        >>> shared, face = Shared(), object()
        >>> shared.get(face, "size", lambda: 7), shared.get(face, "size", lambda: 8)
        (7, 7)
        """
        if face is not self._face:
            self._face, self._kept = face, {}
        if key not in self._kept:
            self._kept[key] = make()
        value: T = self._kept[key]
        return value

    def mesh(self, face: Face) -> Mesh:
        """The face's landmarks by region.

        Raises EffectError, as Mesh does.
        """
        return self.get(face, "mesh", lambda: Mesh(face))
