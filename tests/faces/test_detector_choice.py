"""Which detector a plan takes, and that a worker takes the same one or none."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from facefx.errors import ConfigError, LicenceError, ModelError, WeightsMismatchError, WeightsMissingError
from facefx.faces import detector as room
from facefx.faces.detector import DetectorSpec, choose_detector, detector_names, make_detector
from facefx.models.catalog import ModelCard, get_card

CLOSED = "http://127.0.0.1:9/yunet.onnx"  # port 9, discard: nothing listens there


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without YuNet and without a network."""
    monkeypatch.delenv("FACEFX_MODELS", raising=False)
    monkeypatch.setenv("FACEFX_CACHE", str(tmp_path / "cache"))
    change_cards(monkeypatch, lambda card: replace(card, source_url=CLOSED))


def change_cards(monkeypatch: pytest.MonkeyPatch, change: Callable[[ModelCard], ModelCard]) -> None:
    monkeypatch.setattr(room, "get_card", lambda name: change(get_card(name)))


def test_the_better_detector_is_taken_where_its_weights_are(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEFX_MODELS", str(models_dir))
    spec = choose_detector("auto")
    assert spec.name == "yunet"
    assert spec.nets[0].sha256.startswith("104ee26c")
    assert spec.nets[0].licence == "Apache-2.0"
    assert spec.reason


@pytest.mark.usefixtures("no_weights")
def test_without_weights_and_network_the_shipped_one_is_planned_soon_and_says_why() -> None:
    began = time.monotonic()
    spec = choose_detector("auto")
    assert time.monotonic() - began < 5
    assert spec.name == "blazeface"
    assert "yunet" in spec.reason
    assert "facefx models pull" in spec.reason
    make_detector(spec).close()


@pytest.mark.usefixtures("no_weights")
def test_asked_for_by_name_and_not_there_is_an_error_not_another_one() -> None:
    with pytest.raises(WeightsMissingError, match=r"facefx models pull yunet-n"):
        choose_detector("yunet")


def test_wrong_weights_are_an_error_not_a_reason_to_choose_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yunet_n_dynamic.onnx").write_bytes(b"not the net")
    monkeypatch.setenv("FACEFX_MODELS", str(tmp_path))
    with pytest.raises(WeightsMismatchError, match="wrong sha256"):
        choose_detector("auto")


def test_a_worker_without_the_planned_net_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    card = get_card("yunet-n")
    monkeypatch.delenv("FACEFX_MODELS", raising=False)
    monkeypatch.setenv("FACEFX_CACHE", str(tmp_path))
    change_cards(monkeypatch, lambda card: replace(card, source_url=CLOSED))
    with pytest.raises(WeightsMissingError):
        make_detector(DetectorSpec("yunet", (card.use,)))


def test_a_plan_made_with_another_net_of_that_name_is_refused() -> None:
    card = get_card("blazeface-full")
    spec = DetectorSpec("blazeface", (replace(card.use, sha256="0" * 64),), (100,))
    with pytest.raises(WeightsMismatchError, match=r"0{64}.*install"):
        make_detector(spec)


@pytest.mark.parametrize("name", ["retinaface", "", "YuNet"])
def test_an_unknown_detector_is_named_with_those_that_exist(name: str) -> None:
    with pytest.raises(ConfigError, match="yunet, blazeface, blazeface-short"):
        choose_detector(name)
    with pytest.raises(ConfigError, match="yunet"):
        make_detector(DetectorSpec(name, (), ()))


@pytest.mark.parametrize("scales", [(), (0,), (640, -1)])
def test_impossible_scales_are_refused(scales: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="scales"):
        choose_detector("blazeface", scales=scales)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="cpu, cuda:N or auto"):
        make_detector(choose_detector("blazeface", device="tpu"))


def test_auto_device_leaves_no_auto_in_the_plan() -> None:
    assert choose_detector("blazeface", device="auto").device in ("cpu", "cuda:0")


def test_a_forbidden_licence_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    change_cards(
        monkeypatch, lambda card: replace(card, allowed_use="non-commercial", licence="research only")
    )
    with pytest.raises(LicenceError, match=r"research only.*non-commercial"):
        choose_detector("blazeface", policy="commercial")
    assert choose_detector("blazeface", policy="any").name == "blazeface"


def test_auto_does_not_take_a_forbidden_net(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFX_MODELS", str(models_dir))

    def only_yunet_is_forbidden(card: ModelCard) -> ModelCard:
        return replace(card, allowed_use="non-commercial") if card.name == "yunet-n" else card

    change_cards(monkeypatch, only_yunet_is_forbidden)
    spec = choose_detector("auto", policy="commercial")
    assert spec.name == "blazeface"
    assert "licence policy" in spec.reason


@pytest.mark.parametrize("name", ["blazeface", "blazeface-short"])
def test_a_spec_survives_the_way_to_a_worker(name: str) -> None:
    spec = choose_detector(name)
    assert pickle.loads(pickle.dumps(spec)) == spec
    plain = json.loads(json.dumps(asdict(spec)))
    assert plain["nets"][0]["sha256"] == spec.nets[0].sha256
    detector = make_detector(spec)
    assert detector.name == name
    assert detector.nets == spec.nets
    detector.close()


def test_every_name_can_be_planned(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFX_MODELS", str(models_dir))
    assert [choose_detector(name).name for name in detector_names()] == list(detector_names())


def test_a_gpu_that_is_not_there_is_an_error_not_the_cpu() -> None:
    from facefx.models.session import cuda_problem

    if cuda_problem() is None:
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match=r"cuda:0.*choose device cpu"):
        make_detector(choose_detector("blazeface", device="cuda:0"))
