"""The generated messages are those of the protocol that is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefx.cluster.proto.generate import FOLDER, SOURCE, generate
from facefx.errors import ConfigError


def test_what_is_committed_is_what_the_protocol_generates() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("facefx_pb2*")}
    assert sorted(committed) == ["facefx_pb2.py", "facefx_pb2.pyi"]
    assert generate() == committed


def test_a_changed_protocol_is_noticed(tmp_path: Path) -> None:
    changed = tmp_path / "facefx.proto"
    changed.write_text(SOURCE.read_text(encoding="utf-8").replace("string refused = 2", "string denied = 2"))
    assert generate(changed)["facefx_pb2.pyi"] != (FOLDER / "facefx_pb2.pyi").read_text(encoding="utf-8")


def test_a_protocol_that_is_wrong_is_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "facefx.proto"
    wrong.write_text("message")
    with pytest.raises(ConfigError, match="protoc"):
        generate(wrong)
    assert "facefx.proto" in capfd.readouterr().err
