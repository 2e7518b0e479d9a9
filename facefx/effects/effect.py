"""What an effect is: a declaration, and one method that changes a patch's planes in place."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from facefx.effects.nets import NetLoader
from facefx.effects.shared import Shared
from facefx.effects.who import EVERYONE
from facefx.errors import EffectError
from facefx.values import Face, Patch, StreamFormat

__all__ = ["FAMILIES", "Effect", "EffectParams", "EffectSpec", "Family", "Need", "Rectangle"]

Family = Literal["geometry", "colour", "overlay", "privacy"]
Need = Literal["box", "landmarks"]
Rectangle = tuple[float, float, float, float]

FAMILIES: tuple[Family, ...] = ("geometry", "colour", "overlay", "privacy")
"""The order in which a chain runs, whatever the user's order: nothing may come after privacy."""


class EffectParams(BaseModel):
    """Parameters of one effect; lengths are fractions of the face box, never pixels.

    Each field carries a description and bounds: messages, `facefx effects` and the reference
    are made from them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class EffectSpec:
    """An effect and all its parameters, defaults filled in: what a plan holds.

    Make one with `checked` or `registry.parse_effect`, so that a later change of a default does
    not change an old plan. params holds JSON values only. who: which faces it is for, as Who reads it.
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    who: str = "all"

    def __hash__(self) -> int:
        return hash(self.to_json())

    @classmethod
    def checked(cls, name: str, params: Mapping[str, Any] | None = None) -> EffectSpec:
        """Check a name and some parameters against the registry, and fill in the rest.

        params: among them perhaps "who".

        Raises EffectError.
        """
        from facefx.effects.registry import make_spec  # it knows every class, and each class knows us

        return make_spec(name, params or {})

    def to_json(self) -> str:
        """One line of JSON with sorted keys: equal specs give equal text."""
        return json.dumps(self.plain(), sort_keys=True)

    def plain(self) -> dict[str, Any]:
        """Plain values; who is named only where somebody is left out, so that plans keep their hashes."""
        who = {"who": self.who} if self.who != "all" else {}
        return {"name": self.name, "params": self.params, **who}

    def entry(self) -> dict[str, dict[str, Any]]:
        """The spec as a settings file says it."""
        return {self.name: {**self.params, **({"who": self.who} if self.who != "all" else {})}}

    @classmethod
    def from_json(cls, text: str) -> EffectSpec:
        """Read what to_json wrote; checked again.

        Raises EffectError.
        """
        try:
            value = json.loads(text)
            name, params = (
                value["name"],
                {**value["params"], **{key: value[key] for key in ("who",) if key in value}},
            )
        except (ValueError, TypeError, KeyError) as error:
            raise EffectError(f'effect: expected {{"name": …, "params": {{…}}}}, got {text!r}') from error
        return cls.checked(name, params)


class Effect(ABC):
    """One way to change a face. A subclass declares itself in class variables and docstring.

    Its docstring's first line is what users read. `caution` says what the effect must not be
    trusted with. `needs` says what must be known about a face (`wants`: with these parameters); where
    "landmarks" are missing, a chain skips the effect for that face, except privacy, which then covers
    the box.

    State derives from (track, pts) alone, so that a frame may be made again, or elsewhere. `shared` keeps
    what one effect of a chain finds out about a face for the next. `who` is for the chain to heed.

    `samples` are settings worth looking at, weakest first, for the gallery and the tests; where there are
    none, they are derived from the parameters (see effects.samples).
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    needs: ClassVar[frozenset[Need]] = frozenset({"box"})
    caution: ClassVar[str] = ""
    samples: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    Params: ClassVar[type[EffectParams]]

    format: StreamFormat

    def __init__(self, params: EffectParams) -> None:
        self.params = params
        self.who = EVERYONE
        self.shared = Shared()
        self._seed = b""

    @classmethod
    def pinned(cls, params: EffectParams) -> EffectParams:
        """Fix what lies outside the parameters, such as a file's sha256, when a plan is made.

        Raises EffectError where a file is missing or broken: at the start, not at frame 7,000.
        """
        return params

    @classmethod
    def sample_files(cls, folder: Path) -> Mapping[str, Any]:
        """Make the files that its samples need and nothing ships; return the parameters that name them.

        folder: exists, and belongs to the caller. The bytes are the same each time.
        """
        return {}

    @classmethod
    def wants(cls, params: EffectParams) -> frozenset[Need]:
        """What it makes use of with these parameters: what it needs, at least."""
        return cls.needs

    @property
    def whole_frame(self) -> bool:
        """True where the whole picture is changed: a chain then asks for the largest of its faces alone."""
        return False

    def load(self, nets: NetLoader) -> None:  # noqa: B027 – most effects need no net
        """Take the nets that it needs from whoever can load them; called once, before `prepare`.

        Raises EffectError, and what the loader raises.
        """

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Convert colours, pictures and tables once for a stream; called before any frame.

        seed: of the plan; never written to the output.
        """
        self.format = format
        self._seed = seed

    @abstractmethod
    def region(self, face: Face) -> Rectangle | None:
        """The xyxy of the pixels that it may touch, in the stored picture; None if there are none."""

    @abstractmethod
    def apply(self, patch: Patch, face: Face) -> None:
        """Change the patch's planes in place, within its region.

        The patch covers at least the part of the region that lies in the picture, perhaps more,
        and already holds what the effects before this one did.
        """

    def moved(self, face: Face) -> Face:
        """The face as the effects after this one find it; a geometry effect moves its landmarks."""
        return face

    def close(self) -> None:
        """Let go of what is not memory, such as a device's context; called once, after the last frame."""
        return

    def track_seed(self, track_id: int) -> int:
        """A seed of 64 bits for one person: the same in every frame, unrelated between persons."""
        text = b"%s/%s/%d" % (self._seed, self.name.encode(), track_id)
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    @classmethod
    def of(cls, **params: Any) -> Self:
        """Make one from parameters, for notebooks and tests.

        >>> Solid.of(colour="#20c060")  # doctest: +SKIP
        """
        return cls(cls.Params(**params))
