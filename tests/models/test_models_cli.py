"""`facefx models`: the licence of each net, and a wrong file is exit code 3."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from weight_server import Serve, weight_server

from facefx.cli.app import main
from facefx.models import catalog, store
from facefx.models.catalog import load_catalog
from facefx.models.store import DATA


@pytest.fixture(autouse=True)
def own_folders(models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFX_MODELS", str(models_dir))
    monkeypatch.setenv("FACEFX_CACHE", str(tmp_path / "cache"))


def test_the_list_names_licence_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    for word in ("yunet-n", "blazeface-full", "facemesh-478", "face-landmarks", "commercial", str(DATA)):
        assert word in said
    assert all("Apache-2.0" in line for line in said.splitlines()[1:])
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
    assert capsys.readouterr().out.count("ok on CPUExecutionProvider") == len(load_catalog())


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


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve bytes with a status from this machine; the address."""
    with weight_server() as start:
        yield start


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the catalog that of one net, "far", which is nowhere but at an address."""

    def put(address: str) -> None:
        entry = {
            "file": "far.onnx",
            "sha256": hashlib.sha256(b"the very weights").hexdigest(),
            "licence": "MIT",
            "allowed_use": "commercial",
            "task": "face-detection",
            "origin": "a test",
            "source_url": address,
        }
        path = tmp_path / "catalog.toml"
        lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
        path.write_text("\n".join(["[far]", "bytes = 16", *lines]))
        monkeypatch.setattr(catalog, "load_catalog", lambda: load_catalog(path))

    return put


def test_pull_fetches_and_tells_the_licence(
    elsewhere: Callable[[str], None], serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere(serve(b"the very weights", 200))
    assert main(["models", "pull", "far"]) == 0
    path = tmp_path / "cache" / "models" / "far.onnx"
    assert capsys.readouterr().out == f"far  MIT  {path}\n"
    assert path.read_bytes() == b"the very weights"


def test_pull_of_other_weights_is_one_line_and_keeps_nothing(
    elsewhere: Callable[[str], None], serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere(serve(b"other weights", 200))
    assert main(["models", "pull", "far"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "wrong sha256" in captured.err
    assert hashlib.sha256(b"other weights").hexdigest() in captured.err
    assert not (tmp_path / "cache").exists()


def test_pull_without_an_answer_gives_up_with_one_line(
    elsewhere: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "FETCH_TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        elsewhere(f"http://127.0.0.1:{silent.getsockname()[1]}/far.onnx")
        assert main(["models", "pull", "far"]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "did not answer within" in said
    assert "FACEFX_MODELS" in said


@pytest.mark.parametrize(
    "part", [slice(0, 1000), slice(0, 0), slice(1, None)], ids=["half", "empty", "shifted"]
)
def test_a_broken_net_fails_the_check_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], part: slice
) -> None:
    (tmp_path / "facemesh_468.onnx").write_bytes((DATA / "facemesh_468.onnx").read_bytes()[part])
    monkeypatch.setenv("FACEFX_MODELS", str(tmp_path))
    assert main(["models", "check", "facemesh-468"]) == 3
    captured = capsys.readouterr()
    assert captured.out.count("\n") == captured.err.count("\n") == 1
    assert str(tmp_path / "facemesh_468.onnx") in captured.out


@pytest.mark.parametrize("arguments", [["show", "x"], ["pull", "x"], ["check", "x"], ["build", "yunet-n"]])
def test_an_unknown_net_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_build_without_its_wheel_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "build", "--wheel", str(tmp_path / "gone.whl"), "--out", str(tmp_path)]) == 3
    assert "gone.whl" in capsys.readouterr().err
