"""Settings: a typo must not pass unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefx.config import load_config, parse_time
from facefx.errors import ConfigError


def test_a_misspelt_key_is_an_error_naming_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("effcts: solid\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.yaml: effcts"):
        load_config(path, {})


def test_a_nested_misspelt_key_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("encode: {crff: 20}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"encode\.crff"):
        load_config(path, {})


def test_the_command_line_wins_over_the_file_only_where_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("effects: [blur]\nencode: {crf: 20, preset: slow}\n", encoding="utf-8")
    config = load_config(path, {"effects": None, "encode": {"crf": 30, "preset": None}})
    assert (config.effects, config.encode.crf, config.encode.preset) == (("blur",), 30, "slow")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "expected settings"),
        ("a: [", "is not YAML"),
        ("threads: 99", "threads"),
        ("audio: mute", "audio"),
        ("{from_s: 5, to_s: 4}", "must be after"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path, {})
    assert "\n" not in str(caught.value)


def test_a_missing_config_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml", {})


def test_no_settings_at_all_hides_faces() -> None:
    assert load_config(None, {}).effects == ("solid",)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0.0), ("75.5", 75.5), ("1:15.5", 75.5), ("01:00:01", 3601.0)]
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "-1", "1:2:3:4", "1:", "nan"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected seconds"):
        parse_time(text)
