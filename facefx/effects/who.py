"""Which of a frame's faces an effect is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from facefx.errors import EffectError
from facefx.values import Face, StreamFormat

__all__ = ["EVERYONE", "Who"]

Middle = Callable[[Face], tuple[float, float]]

_EXPECTED = (
    "all, largest[:N], leftmost[:N], rightmost[:N], track:N[/N…] or area:x0/y0/x1/y1 in parts of the "
    "picture; several joined by +; not: in front for everyone else"
)
_TERM = re.compile(r"([a-z]+)(?::([0-9./]+))?")
_NOT = "not:"


@dataclass(frozen=True, slots=True)
class _Term:
    """One way to choose: kind, and its numbers."""

    kind: str
    numbers: tuple[float, ...] = ()

    def choose(self, faces: Sequence[Face], middle: Middle) -> set[int]:
        """Indices of the faces that it means."""
        if self.kind == "all":
            return set(range(len(faces)))
        if self.kind == "track":
            return {i for i, face in enumerate(faces) if face.track_id in self.numbers}
        if self.kind == "area":
            x0, y0, x1, y1 = self.numbers
            places = [middle(face) for face in faces]
            return {i for i, (x, y) in enumerate(places) if x0 <= x <= x1 and y0 <= y <= y1}
        order = sorted(
            range(len(faces)), key=lambda i: (_RANKS[self.kind](faces[i], middle), faces[i].track_id)
        )
        return set(order[: int(self.numbers[0]) if self.numbers else 1])


@dataclass(frozen=True, slots=True)
class Who:
    """The faces that an effect is for, by what is seen in the frame itself.

    Each frame is judged by itself, so that it may be made anywhere: where two people are as large as each
    other, "largest" may go from one to the other.
    """

    terms: tuple[_Term, ...] = (_Term("all"),)
    others: bool = False

    @classmethod
    def parse(cls, text: str) -> Who:
        """Read what a user asks for.

        Raises EffectError.

        >>> Who.parse("not:largest:2+area:0/0/0.5/1").others
        True
        """
        words = text.strip()
        others = words.startswith(_NOT)
        terms = tuple(_term(word, text) for word in words.removeprefix(_NOT).split("+"))
        return cls(terms, others)

    @property
    def everyone(self) -> bool:
        """True where no face is left out."""
        return not self.others and any(term.kind == "all" for term in self.terms)

    @property
    def names_tracks(self) -> bool:
        """True where it means numbers of tracks, which hold within one analysis only."""
        return any(term.kind == "track" for term in self.terms)

    def choose(self, faces: Sequence[Face], format: StreamFormat) -> frozenset[int]:
        """Indices of the faces that are meant. Left, right and area are the picture's, as it is shown."""
        chosen: set[int] = set()
        for term in self.terms:
            chosen |= term.choose(faces, lambda face: _middle(face, format))
        return frozenset(range(len(faces))) - chosen if self.others else frozenset(chosen)


EVERYONE = Who()


def _term(word: str, text: str) -> _Term:
    match = _TERM.fullmatch(word.strip())
    try:
        kind, rest = match.groups() if match else ("", None)
        numbers = tuple(float(number) for number in rest.split("/")) if rest else ()
    except ValueError:
        kind, numbers = "", ()
    if not _fits(kind, numbers):
        raise EffectError(f"who {text!r}: expected {_EXPECTED}; got {word.strip()!r}")
    return _Term(kind, numbers)


def _fits(kind: str, numbers: Sequence[float]) -> bool:
    whole = all(number == int(number) for number in numbers)
    if kind == "area":
        return len(numbers) == 4 and numbers[0] < numbers[2] <= 1 and numbers[1] < numbers[3] <= 1
    if kind == "track":
        return bool(numbers) and whole
    if kind == "all":
        return not numbers
    return kind in _RANKS and len(numbers) <= 1 and whole and 0 not in numbers


def _area(face: Face) -> float:
    x0, y0, x1, y1 = face.xyxy
    return (x1 - x0) * (y1 - y0)


def _middle(face: Face, format: StreamFormat) -> tuple[float, float]:
    """Where the middle of a face is seen, in parts of the picture as it is shown."""
    x0, y0, x1, y1 = face.xyxy
    x, y = (x0 + x1) / 2 / format.width, (y0 + y1) / 2 / format.height
    if format.mirrored:
        y = 1 - y
    return {0: (x, y), 90: (y, 1 - x), 180: (1 - x, 1 - y), 270: (1 - y, x)}[round(format.rotation) % 360]


_RANKS: MappingProxyType[str, Callable[[Face, Middle], float]] = MappingProxyType(
    {
        "largest": lambda face, middle: -_area(face),
        "leftmost": lambda face, middle: middle(face)[0],
        "rightmost": lambda face, middle: -middle(face)[0],
    }
)
