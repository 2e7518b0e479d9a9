"""`facefx models`: the licence of each net, and a wrong file is exit code 3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facefx.cli.app import main


@pytest.fixture(autouse=True)
def own_folders(models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFX_MODELS", str(models_dir))
    monkeypatch.setenv("FACEFX_CACHE", str(tmp_path / "cache"))


def test_the_list_names_licence_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    for word in ("yunet-n", "blazeface-full", "Apache-2.0", "commercial"):
        assert word in said
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["yunet-n"]["path"].endswith("yunet_n_dynamic.onnx")
    assert rows["blazeface-full"]["shipped"] is True


def test_show_tells_the_origin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "yunet-n", "--json"]) == 0
    assert "libfacedetection" in json.loads(capsys.readouterr().out)["origin"]
    assert main(["models", "show", "yunet-n"]) == 0
    assert "Apache-2.0" in capsys.readouterr().out


def test_check_loads_every_net(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check"]) == 0
    assert capsys.readouterr().out.count("ok on CPUExecutionProvider") >= 3


def test_a_wrong_file_fails_the_check_and_shows_in_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blazeface_full.onnx").write_bytes(b"wrong")
    monkeypatch.setenv("FACEFX_MODELS", str(tmp_path))
    assert main(["models", "check", "blazeface-full", "blazeface-short"]) == 3
    captured = capsys.readouterr()
    assert "wrong sha256" in captured.out
    assert "cannot be used: blazeface-full" in captured.err
    assert "blazeface-short  Apache-2.0  ok" in captured.out
    assert main(["models", "list"]) == 0
    assert "sha256" in capsys.readouterr().out


def test_a_net_that_is_asked_for_and_not_here_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FACEFX_MODELS")
    assert main(["models", "check", "yunet-n"]) == 3
    assert "not here" in capsys.readouterr().out
    assert main(["models", "check"]) == 0


def test_pull_leaves_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull"]) == 0
    assert "yunet_n_dynamic.onnx" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["show", "x"], ["pull", "x"], ["check", "x"], ["build", "yunet-n"]])
def test_an_unknown_net_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_build_without_its_wheel_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "build", "--wheel", str(tmp_path / "gone.whl"), "--out", str(tmp_path)]) == 3
    assert "gone.whl" in capsys.readouterr().err
