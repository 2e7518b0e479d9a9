"""Nets that change a face: what their makers and users declare in YAML, and how an effect is handed one.

Effects know no runtime: whoever has one (the pipeline) gives each effect a loader before the first frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from facefx.effects.align import TEMPLATES, Template, known_point
from facefx.effects.files import read_file, unreadable
from facefx.errors import EffectError
from facefx.storage import sha256_file

__all__ = [
    "Blend",
    "Net",
    "NetCard",
    "NetFile",
    "NetLoader",
    "Shape",
    "Values",
    "read_card",
    "sha256_of_file",
]

Net = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(1, c, s, s) or (1, s, s, c) float32 → the same, as the card declares it.

May raise any FacefxError.
"""

_MAX_YAML_BYTES = 1 << 20
_NO_CARD = "too large for a card of a net: give the YAML file"


@dataclass(frozen=True, slots=True)
class NetFile:
    """The one file that a card names; name: for messages."""

    path: Path
    sha256: str
    name: str


Shape = tuple[int, int, int, int]

NetLoader = Callable[[NetFile, Shape], Net]
"""Loads the very file, and sees that it makes of a crop of that shape one of the same.

Raises WeightsMismatchError for another file under its path, ModelError for one that cannot do it.
"""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] >= pair[1]:
        raise ValueError("expected [low, high], low first")
    return pair


Triple = float | tuple[float, float, float]
Range = Annotated[tuple[float, float], AfterValidator(_rising)]


def _not_zero(value: Triple) -> Triple:
    if not np.all(value):
        raise ValueError("expected no zero")
    return value


class Values(_Part):
    """What a net's numbers mean: black and white lie at `range`; then (value − mean) / std, per channel."""

    range: Range = (0.0, 1.0)
    mean: Triple = 0.0
    std: Annotated[Triple, AfterValidator(_not_zero)] = 1.0

    def scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(gain, offset) of a channel, such that gain · part + offset is the net's number of a part 0..1."""
        low, high = self.range
        std = np.asarray(self.std, np.float32)
        return np.asarray((high - low) / std), np.asarray((low - np.asarray(self.mean, np.float32)) / std)


class Blend(_Part):
    """Where what the net made is put back: shape, and a fade inwards, in sides of the crop."""

    shape: Literal["oval", "ellipse", "box"] = "oval"
    feather: float = Field(0.05, ge=0.0, le=0.5)


def _template(value: Literal["arcface", "ffhq"] | Template) -> Literal["arcface", "ffhq"] | Template:
    if not isinstance(value, str):
        if len(value) < 2:
            raise ValueError("expected at least two points")
        for name in value:
            if not known_point(name):
                raise ValueError(f"{name!r} is no named point of a face")
    return value


class NetCard(_Part):
    """A net that maps an aligned crop of a face to one, as its YAML file declares it.

    file: ONNX, beside the YAML or absolute. template: where points of the face lie in the crop, in parts of
    its side from the upper left, by a name or point by point. colour: order of the channels; grey is luma
    alone, and colour is left as it was. input_values, output_values: see Values.
    """

    file: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    licence: str = Field(min_length=1)
    source: str = Field(min_length=1)
    size: int = Field(ge=16, le=2048)
    template: Annotated[Literal["arcface", "ffhq"] | Template, AfterValidator(_template)]
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    input: Values = Values()
    output: Values = Values()
    mask: Blend = Blend()

    @property
    def points(self) -> Template:
        """The template, point by point."""
        return TEMPLATES[self.template] if isinstance(self.template, str) else self.template

    @property
    def shape(self) -> Shape:
        """Of the net's input and output."""
        channels = 1 if self.colour == "grey" else 3
        if self.layout == "nchw":
            return 1, channels, self.size, self.size
        return 1, self.size, self.size, channels

    def net_file(self, card: Path) -> NetFile:
        """The net's file; card: where the YAML lies."""
        path = card.parent / self.file
        return NetFile(path, self.sha256, path.name)


def read_card(path: Path, effect: str) -> NetCard:
    """Read a YAML file that declares a net.

    Raises EffectError with the file, the key and what was wrong.
    """
    try:
        loaded = yaml.safe_load(read_file(path, effect, _MAX_YAML_BYTES, _NO_CARD).decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EffectError(f"effect {effect}: {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise EffectError(f"effect {effect}: {path}: expected `key: value`, got {type(loaded).__name__}")
    try:
        return NetCard.model_validate(loaded)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "whole"
        raise EffectError(
            f"effect {effect}: {path}: {where}: {first['msg']} (got {first['input']!r:.80})"
        ) from error


def sha256_of_file(path: Path, effect: str) -> str:
    """Return the sha256 of a file, in hex.

    Raises EffectError.
    """
    try:
        return sha256_file(path)
    except OSError as error:
        raise unreadable(path, effect, error) from error
