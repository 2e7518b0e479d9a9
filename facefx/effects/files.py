"""Files that a user's effects name: read within a limit, and held against what a plan has pinned."""

from __future__ import annotations

from pathlib import Path

from facefx.errors import EffectError

__all__ = ["BUILTIN", "check_pinned", "pinned_path", "read_file", "unreadable"]

BUILTIN = "builtin:"
"""In front of the name of an asset that comes with the package, where a path could stand."""


def pinned_path(path: str) -> str:
    """The path that a plan keeps: absolute; the name of a built-in asset as it is."""
    return path if path.startswith(BUILTIN) else str(Path(path).expanduser().absolute())


def read_file(path: str | Path, effect: str, most_bytes: int, too_large: str, what: str = "") -> bytes:
    """Return what a file holds.

    effect, what: for messages, as in "effect image: picture a.png cannot be read". too_large: what is said
    of a file of more than most_bytes.

    Raises EffectError.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise unreadable(path, effect, error, what) from error
    if len(data) > most_bytes:
        raise EffectError(f"effect {effect}: {path} is {too_large}")
    return data


def unreadable(path: str | Path, effect: str, error: OSError, what: str = "") -> EffectError:
    """The one line on a file that cannot be read."""
    named = f"{what} {path}" if what else str(path)
    return EffectError(f"effect {effect}: {named} cannot be read: {error.strerror or type(error).__name__}")


def check_pinned(path: str | Path, effect: str, expected: str | None, got: str) -> None:
    """Hold a file's sha256, in hex, against the one that a plan expects; none takes any.

    Raises EffectError.
    """
    if expected and got != expected:
        raise EffectError(
            f"effect {effect}: {path} changed since the plan was made: expected sha256 {expected}, got {got}"
        )
