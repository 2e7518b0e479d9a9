"""A loaded net: the only user of onnxruntime."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as _state

from facefx.errors import ConfigError, ModelError

__all__ = ["Session", "cuda_problem"]

_log = logging.getLogger("facefx.models")

# Everything that onnxruntime raises: it has no common base class of its own.
_ORT_ERRORS: tuple[type[Exception], ...] = (
    *(kind for kind in vars(_state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    RuntimeError,
    ValueError,
    TypeError,
)
_FATAL_ONLY = 4
_CUDA_PROVIDER = "libonnxruntime_providers_cuda.so"


class Session:
    """One loaded net on one device.

    Runs on one thread unless told otherwise, without spinning, with deterministic kernels: many
    workers share a machine, and one plan must give one result.

    device: "cpu"; "cuda:N", which fails by name rather than run on the CPU; "auto", CUDA device 0
    if a session really works there, else the CPU. provider tells what was got.

    Raises ConfigError for another device name, ModelError if the file cannot be loaded or the
    device cannot be had. Each session made is logged as "session opened" by `facefx.models`.
    """

    name: str
    sha256: str
    provider: str

    def __init__(
        self, path: Path, *, name: str, sha256: str = "", device: str = "cpu", threads: int = 1
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self._run_options = ort.RunOptions()
        self._run_options.log_severity_level = _FATAL_ONLY
        index = _cuda_index(device)
        if device == "auto":
            self._session = _try_cuda(path, name, threads) or _open(path, name, threads, None)
        else:
            self._session = _open(path, name, threads, index)
        self.provider = str(self._session.get_providers()[0])
        self.inputs: dict[str, tuple[int | str | None, ...]] = {
            item.name: tuple(item.shape) for item in self._session.get_inputs()
        }
        self.outputs: tuple[str, ...] = tuple(item.name for item in self._session.get_outputs())
        _log.info("session opened", extra={"net": name, "sha256": sha256, "provider": self.provider})

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the net once; outputs by name, owned by the caller.

        Raises ModelError where an input does not fit or the device fails.
        """
        try:
            values = self._session.run(self.outputs, dict(feeds), self._run_options)
        except _ORT_ERRORS as error:
            shapes = {name: (value.shape, str(value.dtype)) for name, value in feeds.items()}
            raise ModelError(
                f"net {self.name!r} failed on {self.provider}: expected inputs {self.inputs}, got {shapes}: "
                f"{_one_line(error)}"
            ) from error
        return dict(zip(self.outputs, values, strict=True))


def _cuda_index(device: str) -> int | None:
    """The CUDA ordinal that a device names; None for the CPU (and for auto)."""
    if device in ("cpu", "auto"):
        return None
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise ConfigError(f"device {device!r} is unknown; expected cpu, cuda:N or auto")
    return int(match[1] or 0)


def _open(path: Path, name: str, threads: int, cuda: int | None) -> ort.InferenceSession:
    if cuda is not None:
        problem = cuda_problem()
        if problem:
            raise ModelError(f"net {name!r} cannot run on cuda:{cuda}: {problem}")
    providers: list[Any] = ["CPUExecutionProvider"]
    if cuda is not None:
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": cuda}))
    try:
        session = ort.InferenceSession(str(path), _options(threads), providers=providers)
    except _ORT_ERRORS as error:
        raise ModelError(
            f"{path}: net {name!r} cannot be loaded: {_one_line(error)}; is it an ONNX file?"
        ) from error
    got = session.get_providers()[0]
    if cuda is not None and got != "CUDAExecutionProvider":
        raise ModelError(
            f"net {name!r} cannot run on cuda:{cuda}: onnxruntime gave {got} instead; "
            "check that the machine has that device and its driver (nvidia-smi), or choose device cpu"
        )
    return session


def _try_cuda(path: Path, name: str, threads: int) -> ort.InferenceSession | None:
    """A session on the first CUDA device, or None with the reason in the log."""
    try:
        return _open(path, name, threads, 0)
    except ModelError as error:
        _log.info("no CUDA session, the CPU is used", extra={"net": name, "reason": str(error)})
        return None


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL_ONLY
    # A thread that spins while it waits burns the core of the decoder beside it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def cuda_problem() -> str | None:
    """Say why no CUDA session can be had, naming the missing library; None if none is known.

    `get_available_providers()` lists what the build knows, GPU or not, so the provider's own
    library is loaded instead: the loader names what it lacks.
    """
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this onnxruntime is built without CUDA; install onnxruntime-gpu"
    with contextlib.redirect_stdout(io.StringIO()):  # it reports by print; the loader below says it better
        ort.preload_dlls()
    folder = Path(_state.__file__).parent
    for library in (
        "libcuda.so.1",
        str(folder / "libonnxruntime_providers_shared.so"),
        str(folder / _CUDA_PROVIDER),
    ):
        try:
            ctypes.CDLL(library)
        except OSError as error:
            hint = "install the driver" if "libcuda.so" in str(error) else "pip install 'facefx[cuda]'"
            return f"{_one_line(error)}; {hint}, or choose device cpu"
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
