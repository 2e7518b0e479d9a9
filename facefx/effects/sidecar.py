"""Parameters that an asset brings along: NAME.yaml beside NAME.png, written by who drew it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from facefx.effects.assets import AssetParams
from facefx.effects.files import BUILTIN
from facefx.errors import EffectError

__all__ = ["with_sidecar"]

P = TypeVar("P", bound=AssetParams)

_MAX_BYTES = 64 << 10
# What says which asset it is cannot come from beside the asset.
_OWN = frozenset({"path", "sha256"})


def with_sidecar(params: P, effect: str) -> P:
    """Fill in what the file beside the asset says, but for what was given; the same where there is none.

    Raises EffectError, in one line, where it cannot be read, or names a parameter or value that there is not.
    """
    path = Path(params.path).expanduser().with_suffix(".yaml")
    if params.path.startswith(BUILTIN) or params.sha256 or not path.is_file():
        return params
    said = {key: value for key, value in _read(path, effect).items() if key not in params.model_fields_set}
    try:
        return type(params).model_validate({**params.model_dump(exclude_unset=True), **said})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        raise EffectError(
            f"effect {effect}: {path}: parameter {name!r}: {first['msg']}, got {first['input']!r}"
        ) from error


def _read(path: Path, effect: str) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            value = yaml.safe_load(file.read(_MAX_BYTES))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EffectError(
            f"effect {effect}: {path} cannot be read: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise EffectError(f"effect {effect}: {path}: expected parameters as NAME: VALUE, got {value!r}")
    if _OWN & value.keys():
        raise EffectError(f"effect {effect}: {path} must not say {', '.join(sorted(_OWN & value.keys()))}")
    return value
