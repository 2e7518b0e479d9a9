"""The store: the very file that the catalog names, or an error that says what to do."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from weight_server import Serve, weight_server

from facefx.errors import ConfigError, ModelError, WeightsMismatchError, WeightsMissingError
from facefx.models import store
from facefx.models.catalog import ModelCard, get_card
from facefx.models.store import cache_folder, find_weights, locate

WEIGHTS = b"the very weights"


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """A net that is nowhere on this machine, at an address where nothing listens."""
    monkeypatch.delenv("FACEFX_MODELS", raising=False)
    monkeypatch.setenv("FACEFX_CACHE", str(tmp_path / "cache"))
    return replace(
        get_card("yunet-n"),
        name="some-net",
        file="some.onnx",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        bytes=len(WEIGHTS),
        source_url="http://127.0.0.1:9/some.onnx",
    )


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve bytes with a status from this machine; the address."""
    with weight_server() as start:
        yield start


def put(folder: Path, card: ModelCard, data: bytes = WEIGHTS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / card.file
    path.write_bytes(data)
    return path


def test_a_model_folder_goes_before_the_cache(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = put(cache_folder(), card)
    assert find_weights(card) == cached
    first, second = tmp_path / "empty", tmp_path / "full"
    first.mkdir()
    own = put(second, card)
    monkeypatch.setenv("FACEFX_MODELS", f"{first}:{second}")
    assert find_weights(card) == own


@pytest.mark.parametrize("place", ["folder", "cache"])
def test_a_wrong_file_is_named_and_never_passed_over(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "folder":
        put(cache_folder(), card)  # the right one, further down the list
        monkeypatch.setenv("FACEFX_MODELS", str(tmp_path / "own"))
        wrong = put(tmp_path / "own", card, b"other")
    else:
        wrong = put(cache_folder(), card, WEIGHTS[:-1])
    with pytest.raises(WeightsMismatchError) as caught:
        find_weights(card)
    said = str(caught.value)
    assert str(wrong) in said
    assert card.sha256 in said
    assert hashlib.sha256(wrong.read_bytes()).hexdigest() in said
    assert "delete" in said
    assert "\n" not in said


def test_without_a_network_the_error_comes_soon_and_says_what_to_do(card: ModelCard) -> None:
    began = time.monotonic()
    with pytest.raises(WeightsMissingError, match=r"some\.onnx.*FACEFX_MODELS.*facefx models pull some-net"):
        find_weights(card)
    assert time.monotonic() - began < 5


def test_a_silent_server_does_not_hold_the_run(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SOCKET_TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        slow = replace(card, source_url=f"http://127.0.0.1:{silent.getsockname()[1]}/some.onnx")
        began = time.monotonic()
        with pytest.raises(WeightsMissingError, match="cannot be fetched"):
            find_weights(slow)
        assert time.monotonic() - began < 3


def test_a_dripping_server_does_not_hold_the_run(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FETCH_TIMEOUT_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        slow = replace(card, source_url=f"http://127.0.0.1:{silent.getsockname()[1]}/some.onnx")
        began = time.monotonic()
        with pytest.raises(WeightsMissingError, match="did not answer within"):
            find_weights(slow)
        assert time.monotonic() - began < 2


def test_fetched_weights_are_kept_and_not_fetched_again(card: ModelCard, serve: Serve) -> None:
    path = find_weights(replace(card, source_url=serve(WEIGHTS, 200)))
    assert path == cache_folder() / "some.onnx"
    assert path.read_bytes() == WEIGHTS
    assert find_weights(card) == path  # its address is the closed port
    assert [item.name for item in cache_folder().iterdir()] == ["some.onnx"]


@pytest.mark.parametrize("body", [WEIGHTS[:-1], WEIGHTS + b"!", b"<html>login</html>", b""])
def test_wrong_bytes_from_the_network_are_never_kept(card: ModelCard, serve: Serve, body: bytes) -> None:
    with pytest.raises(WeightsMismatchError, match="nothing was kept"):
        find_weights(replace(card, source_url=serve(body, 200)))
    assert not cache_folder().exists()


def test_a_refusing_server_is_told_with_its_status(card: ModelCard, serve: Serve) -> None:
    with pytest.raises(WeightsMissingError, match="Not Found"):
        find_weights(replace(card, source_url=serve(b"", 404)))


@pytest.mark.parametrize("address", ["", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_only_http_is_fetched(card: ModelCard, address: str) -> None:
    with pytest.raises(WeightsMissingError, match="no address"):
        find_weights(replace(card, source_url=address))


def test_fetching_can_be_off(card: ModelCard, serve: Serve) -> None:
    with pytest.raises(WeightsMissingError, match="fetching is off"):
        find_weights(replace(card, source_url=serve(WEIGHTS, 200)), fetch=False)
    assert locate(card) is None


def test_an_unwritable_cache_is_named(
    card: ModelCard, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("FACEFX_CACHE", str(blocked))
    with pytest.raises(ModelError, match="FACEFX_CACHE"):
        find_weights(replace(card, source_url=serve(WEIGHTS, 200)))


def test_a_model_folder_that_is_not_there_is_an_error(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEFX_MODELS", str(tmp_path / "typo"))
    with pytest.raises(ConfigError, match=r"FACEFX_MODELS.*typo"):
        find_weights(card)


def test_the_cache_follows_the_users_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEFX_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "facefx" / "models"
    monkeypatch.setenv("FACEFX_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "models"
