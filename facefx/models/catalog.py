"""The catalog: which nets exist, whose they are, and the one file that each of them is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from facefx.errors import ConfigError, LicenceError, ModelError

__all__ = [
    "CATALOG",
    "AllowedUse",
    "LicencePolicy",
    "ModelCard",
    "NetUse",
    "check_licence",
    "get_card",
    "load_catalog",
]

CATALOG = Path(__file__).with_name("catalog.toml")

AllowedUse = Literal["commercial", "non-commercial"]
LicencePolicy = Literal["any", "commercial"]


@dataclass(frozen=True, slots=True)
class NetUse:
    """A net that a plan uses, pinned: what a worker must have, exactly."""

    name: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One net: its file, whose it is, what it may be used for and what goes in and out.

    file: the bare name under which it is looked for. source_url: where it can be fetched, or ""
    where it can only be built or supplied. build_from: path of the origin's file, inside the
    archive that `source_url` names for humans, for nets that ship with the package.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    licence: str
    allowed_use: AllowedUse
    task: str
    origin: str
    source_url: str = ""
    input: str = ""
    output: str = ""
    build_from: str = ""

    @property
    def use(self) -> NetUse:
        """What a plan writes down about this net."""
        return NetUse(self.name, self.sha256, self.licence)

    @property
    def shipped(self) -> bool:
        """True where the file is part of the package."""
        return bool(self.build_from)


def load_catalog(path: Path = CATALOG) -> dict[str, ModelCard]:
    """Read the catalog, sorted by name.

    Raises ModelError naming the file and the entry where it is not as it must be.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: the catalog cannot be read: {error}") from error
    return {name: _card(path, name, entries[name]) for name in sorted(entries)}


def _card(path: Path, name: str, entry: object) -> ModelCard:
    if not isinstance(entry, Mapping):
        raise ModelError(f"{path}: expected a table for each net, got {name} = {entry!r}")
    values: dict[str, Any] = dict(entry)
    known = {field.name for field in fields(ModelCard)} - {"name"}
    wrong = sorted(set(values) - known)
    if wrong:
        raise ModelError(f"{path}: net {name!r} has unknown keys {wrong}; expected some of {sorted(known)}")
    try:
        card = ModelCard(name=name, **values)
    except TypeError as error:
        raise ModelError(f"{path}: net {name!r} is incomplete: {error}") from error
    if len(card.sha256) != 64 or Path(card.file).name != card.file:
        raise ModelError(
            f"{path}: net {name!r} needs a sha256 of 64 hex digits and a bare file name, "
            f"got {card.sha256!r} and {card.file!r}"
        )
    if card.allowed_use not in ("commercial", "non-commercial"):
        raise ModelError(
            f"{path}: net {name!r} has allowed_use {card.allowed_use!r}; "
            "expected commercial or non-commercial"
        )
    return card


def get_card(name: str) -> ModelCard:
    """Look a net up by name.

    Raises ConfigError for a name that the catalog does not know.

    >>> get_card("yunet-n").licence
    'Apache-2.0'
    """
    catalog = load_catalog()
    try:
        return catalog[name]
    except KeyError:
        raise ConfigError(
            f"net {name!r} is not in the catalog; expected one of {', '.join(catalog)}"
        ) from None


def check_licence(card: ModelCard, policy: LicencePolicy = "any") -> None:
    """Refuse a net that the policy forbids.

    Raises LicenceError with the net, its licence and what to do.
    """
    if policy == "commercial" and card.allowed_use != "commercial":
        raise LicenceError(
            f"net {card.name!r} ({card.origin}) is licensed {card.licence!r} for {card.allowed_use} use "
            "only, and the licence policy is 'commercial'; choose another net, or set the policy to 'any' "
            "where the use is not commercial"
        )
