"""Settings of a service as its environment has them; secrets may lie in files, and stand in no error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from facefx.errors import ConfigError

__all__ = ["described", "text_of", "tokens_of"]


def tokens_of(given: Mapping[str, str]) -> list[str]:
    """The tokens that let a client in: of FACEFX_TOKEN_FILE, a path, or of FACEFX_TOKEN, one a line.

    Raises ConfigError where the file cannot be read.
    """
    return text_of(given, "FACEFX_TOKEN").split()


def text_of(given: Mapping[str, str], name: str) -> str:
    """A variable, or the file that the variable of that name and _FILE leads to; "" for neither.

    Raises ConfigError where the file cannot be read.
    """
    path = given.get(f"{name}_FILE", "")
    if not path:
        return given.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}_FILE: {path} cannot be read: {type(error).__name__}") from error


def described(error: ValidationError) -> str:
    """What is wrong with settings, in one line, with no value in it: one could be a key."""
    parts = (
        f"{'.'.join(str(part) for part in item['loc']) or 'whole'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
    return "; ".join(parts)
