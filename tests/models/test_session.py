"""A loaded net: where it runs, that it repeats itself, and how it fails."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facefx.errors import ConfigError, ModelError
from facefx.models.catalog import get_card
from facefx.models.session import Session, cuda_problem
from facefx.models.store import load_session


@pytest.fixture
def session() -> Session:
    return load_session(get_card("blazeface-short"))


def feeds(value: int = 90) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return {"image": np.full((2, 128, 128, 3), value, np.uint8), "threshold": np.array([0.5], np.float32)}


def test_a_net_gives_the_same_bits_twice(session: Session) -> None:
    rng = np.random.default_rng(3)
    noise = {
        **feeds(),
        "image": rng.integers(0, 255, (2, 128, 128, 3), np.uint8),
        "threshold": np.zeros(1, np.float32),
    }
    once, again = session.run(noise), load_session(get_card("blazeface-short")).run(noise)
    assert once.keys() == {"boxes", "keypoints", "scores"}
    assert all(np.array_equal(once[name], again[name]) for name in once)
    assert once["scores"].max() > 0


def test_a_session_says_what_it_is(session: Session) -> None:
    assert session.name == "blazeface-short"
    assert session.sha256 == get_card("blazeface-short").sha256
    assert session.provider == "CPUExecutionProvider"


def test_each_session_made_can_be_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="facefx.models"):
        load_session(get_card("blazeface-short"))
    opened = [record for record in caplog.records if record.message == "session opened"]
    assert [record.__dict__["net"] for record in opened] == ["blazeface-short"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": np.zeros((1, 64, 64, 3), np.uint8), "threshold": np.zeros(1, np.float32)},
        {"image": np.zeros((1, 128, 128, 3), np.float32), "threshold": np.zeros(1, np.float32)},
        {"image": np.zeros((1, 128, 128, 3), np.uint8)},
        {"picture": np.zeros((1, 128, 128, 3), np.uint8), "threshold": np.zeros(1, np.float32)},
    ],
    ids=["size", "type", "missing", "name"],
)
def test_a_wrong_input_is_ours_to_report(
    session: Session, wrong: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]
) -> None:
    with pytest.raises(ModelError, match=r"blazeface-short.*expected inputs.*got") as caught:
        session.run(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"not a net", b"\x08\x09"], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_net_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"broken\.onnx") as caught:
        Session(path, name="broken")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CPU", ""])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match="cpu, cuda:N or auto"):
        load_session(get_card("blazeface-short"), device=device)


def test_a_gpu_that_is_asked_for_and_missing_is_named() -> None:
    problem = cuda_problem()
    if problem is None:
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match=r"cuda:1.*choose device cpu"):
        load_session(get_card("blazeface-short"), device="cuda:1")
    assert load_session(get_card("blazeface-short"), device="auto").provider == "CPUExecutionProvider"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "onnxruntime-gpu" in (cuda_problem() or "")
    monkeypatch.undo()
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers() and cuda_problem():
        assert ".so" in (cuda_problem() or "")


def test_a_failed_load_leaves_no_noise_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a net")
    script = (
        "from pathlib import Path\n"
        "from facefx.errors import ModelError\n"
        "from facefx.models.session import Session\n"
        "for device in ('cpu', 'cuda:0', 'auto'):\n"
        "    try:\n"
        f"        Session(Path({str(tmp_path)!r}) / 'broken.onnx', name='broken', device=device)\n"
        "    except ModelError:\n"
        "        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == ""


def test_listing_nets_loads_no_runtime() -> None:
    script = (
        "import sys\n"
        "import facefx.models.catalog, facefx.models.store, facefx.faces.detector\n"
        "from facefx.faces.detector import choose_detector\n"
        "choose_detector('blazeface')\n"
        "print(sorted(name for name in ('onnxruntime', 'onnx', 'tflite') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
