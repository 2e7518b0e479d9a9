"""The catalog: whole, honest and strict."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from facefx.errors import ConfigError, LicenceError, ModelError
from facefx.models.catalog import check_licence, get_card, load_catalog
from facefx.models.store import DATA

GOOD = {
    "file": '"a.onnx"',
    "sha256": f'"{"0" * 64}"',
    "bytes": "1",
    "licence": '"MIT"',
    "allowed_use": '"commercial"',
    "task": '"t"',
    "origin": '"o"',
}


def write(path: Path, values: dict[str, str]) -> Path:
    path.write_text("[net]\n" + "\n".join(f"{key} = {value}" for key, value in values.items()))
    return path


def test_every_net_says_whose_it_is() -> None:
    catalog = load_catalog()
    assert {"yunet-n", "blazeface-full", "blazeface-short", "facemesh-468", "facemesh-478"} <= set(catalog)
    for card in catalog.values():
        assert card.licence
        assert card.origin
        assert card.input
        assert card.shipped or card.source_url.startswith("https://")


def test_what_ships_is_what_the_catalog_names_and_nothing_else() -> None:
    shipped = {card.file: card for card in load_catalog().values() if card.shipped}
    assert {path.name for path in DATA.glob("*.onnx")} == set(shipped)
    notice = (DATA / "NOTICE.txt").read_text(encoding="utf-8")
    for name, card in shipped.items():
        data = (DATA / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == card.sha256
        assert len(data) == card.bytes
        assert name in notice
    assert sum(card.bytes for card in shipped.values()) < 5_500_000


def test_the_fetched_net_is_the_one_of_the_test_weights(models_dir: Path) -> None:
    card = get_card("yunet-n")
    data = (models_dir / card.file).read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (card.sha256, card.bytes)


def test_a_good_entry_is_read(tmp_path: Path) -> None:
    assert load_catalog(write(tmp_path / "c.toml", GOOD))["net"].licence == "MIT"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"licence": None}, "incomplete"),
        ({"colour": '"red"'}, "unknown keys"),
        ({"sha256": '"short"'}, "64 hex digits"),
        ({"file": '"../../etc/passwd"'}, "bare file name"),
        ({"allowed_use": '"maybe"'}, "commercial or non-commercial"),
        ({"licence": "["}, "cannot be read"),
    ],
    ids=["missing key", "unknown key", "short sum", "path in name", "unknown use", "not toml"],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, change: dict[str, str | None], said: str) -> None:
    values = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(ModelError, match=said):
        load_catalog(write(tmp_path / "c.toml", values))


def test_a_missing_catalog_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.toml"):
        load_catalog(tmp_path / "gone.toml")


def test_an_unknown_net_is_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"'retina'.*yunet-n"):
        get_card("retina")


def test_a_commercial_policy_refuses_research_weights() -> None:
    card = replace(get_card("yunet-n"), allowed_use="non-commercial", licence="research only")
    check_licence(card, "any")
    with pytest.raises(LicenceError, match=r"yunet-n.*research only.*non-commercial"):
        check_licence(card, "commercial")
    check_licence(get_card("yunet-n"), "commercial")
