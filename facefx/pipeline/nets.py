"""The nets of a process: each is loaded once, however many segments use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from facefx.effects.chain import EffectChain
from facefx.effects.effect import EffectSpec
from facefx.effects.nets import Net, NetFile, Shape
from facefx.effects.registry import make_effect
from facefx.errors import ModelError, WeightsMismatchError
from facefx.faces.detector import Detector, DetectorSpec, make_detector
from facefx.faces.landmarker import LandmarkerSpec, load_mesh
from facefx.faces.mesh import MeshNet
from facefx.storage import sha256_file
from facefx.values import StreamFormat

__all__ = ["Nets", "check_nets", "make_chain"]


class Nets:
    """Lends the nets that plans name, by their spec. For one thread; whoever made it closes it."""

    def __init__(self) -> None:
        self._detectors: dict[DetectorSpec, Detector] = {}
        self._meshes: dict[LandmarkerSpec, MeshNet] = {}
        self._effects: dict[tuple[NetFile, Shape, str], Net] = {}

    def detector(self, spec: DetectorSpec) -> Detector:
        """The detector of this spec; it stays this object's to close.

        Raises WeightsMismatchError, ConfigError, ModelError.
        """
        if spec not in self._detectors:
            self._detectors[spec] = make_detector(spec)
        return self._detectors[spec]

    def mesh(self, spec: LandmarkerSpec) -> MeshNet:
        """The mesh net of this spec; closing what is lent lets go of nothing.

        Raises WeightsMismatchError, ConfigError, ModelError.
        """
        if spec not in self._meshes:
            self._meshes[spec] = load_mesh(spec)
        return _Lent(self._meshes[spec])

    def effect(self, file: NetFile, shape: Shape, device: str) -> Net:
        """The net of an effect, from the very file that its card names.

        Raises WeightsMismatchError, ConfigError, ModelError.
        """
        key = (file, shape, device)
        if key not in self._effects:
            self._effects[key] = _load_net(file, shape, device)
        return self._effects[key]

    def close(self) -> None:
        """Let every net go; safe to call twice."""
        self._effects.clear()
        closing: list[Callable[[], None]] = [detector.close for detector in self._detectors.values()]
        closing += [mesh.close for mesh in self._meshes.values()]
        self._detectors.clear()
        self._meshes.clear()
        for close in closing:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _load_net(file: NetFile, shape: Shape, device: str) -> Net:
    """Load an effect's net, one float32 input and its first output, and try it with one crop.

    Raises WeightsMismatchError where the file is another than the card's; ConfigError, ModelError.
    """
    from facefx.models.session import Session  # onnxruntime is slow to import, and few effects need it

    try:
        got = sha256_file(file.path)
    except OSError as error:
        raise ModelError(f"{file.path}: net cannot be read: {error.strerror or error}") from error
    if got != file.sha256:
        raise WeightsMismatchError(
            f"{file.path}: net {file.name!r} has the wrong sha256: expected {file.sha256}, got {got}"
        )
    session = Session(file.path, name=file.name, sha256=file.sha256, device=device)
    if len(session.inputs) != 1:
        raise ModelError(f"net {file.name!r} has inputs {session.inputs}: expected one, the crop of a face")
    (name,) = session.inputs

    def run(crop: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run({name: crop})[session.outputs[0]], np.float32)

    made = run(np.zeros(shape, np.float32)).shape
    if made != shape:
        raise ModelError(f"net {file.name!r} makes {made} of a crop of {shape}: expected the same shape")
    return run


def make_chain(
    effects: Sequence[EffectSpec], format: StreamFormat, seed: bytes, nets: Nets, device: str
) -> EffectChain:
    """Make the effects of a plan, hand them their nets, and prepare them for one stream.

    device: where nets run, "cpu" or "cuda:N". nets: owns what was loaded, and must outlive the chain.

    Raises EffectError, WeightsMismatchError, ConfigError, ModelError.
    """
    made = [make_effect(spec) for spec in effects]
    for effect in made:
        effect.load(lambda file, shape: nets.effect(file, shape, device))
    return EffectChain(made, format, seed)


def check_nets(effects: Sequence[EffectSpec], nets: Nets, device: str) -> None:
    """See that every effect's net can be loaded and does what its card says, before any file is opened.

    Raises EffectError, WeightsMismatchError, ConfigError, ModelError.
    """
    for spec in effects:
        make_effect(spec).load(lambda file, shape: nets.effect(file, shape, device))


class _Lent:
    """A mesh net that outlives those who use it."""

    def __init__(self, net: MeshNet) -> None:
        self._net = net
        self.size = net.size

    def look(self, crops: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._net.look(crops)

    def close(self) -> None:
        """The net is whose it was."""
