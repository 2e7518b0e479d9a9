"""Which eye looks: the protocol, the choice that a plan writes down, and the making of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from facefx.errors import ConfigError, LicenceError, WeightsMismatchError, WeightsMissingError
from facefx.geometry import Boxes
from facefx.models.catalog import LicencePolicy, NetUse, check_licence, get_card
from facefx.models.store import find_weights, load_session
from facefx.values import Detections, FrameBatch

__all__ = [
    "LOW_THRESHOLD",
    "Detector",
    "DetectorSpec",
    "NetUse",
    "choose_detector",
    "detector_names",
    "make_detector",
]

# Everything a detector is even slightly sure of is reported; the tracker decides what counts.
LOW_THRESHOLD = 0.3

_log = logging.getLogger("facefx.faces")


class Detector(Protocol):
    """Finds faces in chosen frames of a batch."""

    name: str
    nets: tuple[NetUse, ...]

    def detect(self, batch: FrameBatch, frames: Sequence[int]) -> Detections:
        """Look at the frames at these positions of the batch.

        Boxes and keypoints are in pixels of the stored picture, whatever its rotation;
        Detections.frame is the position in the batch; every confidence is ≥ the low threshold.
        """
        ...

    def glance(self, batch: FrameBatch, frame: int, expected: Boxes, *, whole: bool) -> Detections:
        """Look again between two looks: closely where faces are expected, else coarsely or not at all.

        expected: boxes of the looks on either side, in pixels of the stored picture. whole: also look
        at the rest of the picture, coarsely. Answers like detect; may look at everything instead.
        """
        ...

    def inspect(self, batch: FrameBatch, frame: int, regions: Boxes) -> Detections:
        """Look where something came and went: there as finely as detect does, at the rest coarsely.

        regions: in pixels of the stored picture. Answers like detect; may look at everything instead.
        """
        ...

    def close(self) -> None:
        """Let go of nets and memory; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """The detector that a plan fixes: plain values, so that a worker elsewhere makes the same one.

    scales: for YuNet long sides in pixels, none meaning yunet.default_scales of the picture; for
    BlazeFace tile sides in percent of the picture's short side. reason: why this one was chosen,
    for log and report.
    """

    name: str
    nets: tuple[NetUse, ...]
    scales: tuple[int, ...] = ()
    threshold: float = LOW_THRESHOLD
    device: str = "cpu"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a detector's name stands for."""

    net: str
    scales: tuple[int, ...]


_KINDS = {
    "yunet": _Kind("yunet-n", ()),
    "blazeface": _Kind("blazeface-full", (100,)),
    "blazeface-short": _Kind("blazeface-short", (50,)),
}


def detector_names() -> tuple[str, ...]:
    """What may be asked for by name, besides "auto"."""
    return tuple(_KINDS)


def choose_detector(
    name: str = "auto",
    *,
    scales: Sequence[int] | None = None,
    device: str = "cpu",
    policy: LicencePolicy = "any",
    fetch: bool = True,
) -> DetectorSpec:
    """Fix the detector when the plan is made, with the reason.

    "auto" is YuNet where its weights are here or can be fetched, else BlazeFace in tiles, which
    ships with the package. A file that is there but wrong is an error, never a reason to choose.
    device: "cpu", "cuda:N", or "auto", which is resolved here: a plan has no "auto" left in it.

    Raises ConfigError for an unknown name or scale; WeightsMissingError, WeightsMismatchError,
    LicenceError, ModelError.
    """
    if name != "auto" and name not in _KINDS:
        raise ConfigError(f"detector {name!r} is unknown; expected auto, {', '.join(_KINDS)}")
    if scales is not None and (not scales or min(scales) < 1):
        raise ConfigError(f"detector scales must be one or more positive numbers, got {tuple(scales)}")
    reason = "asked for by name"
    if name == "auto":
        name, reason = _best(fetch, policy)
    kind = _KINDS[name]
    card = get_card(kind.net)
    check_licence(card, policy)
    find_weights(card, fetch=fetch)
    if device == "auto":
        device = "cuda:0" if "CUDA" in load_session(card, device="auto").provider else "cpu"
    spec = DetectorSpec(name, (card.use,), tuple(scales or kind.scales), device=device, reason=reason)
    _log.info("detector chosen", extra={"detector": name, "reason": reason, "device": device})
    return spec


def _best(fetch: bool, policy: LicencePolicy) -> tuple[str, str]:
    card = get_card(_KINDS["yunet"].net)
    try:
        check_licence(card, policy)
        find_weights(card, fetch=fetch)
    except LicenceError as error:
        return "blazeface", f"the better detector, yunet, is not used: {error}"
    except WeightsMissingError as error:
        _log.info("yunet cannot be had: %s", error)
        return "blazeface", (
            "it comes with the package; the better one, yunet, is not at hand and cannot be fetched: "
            "see facefx models pull yunet-n"
        )
    return "yunet", "the default; its weights are at hand"


def make_detector(spec: DetectorSpec) -> Detector:
    """Load the very nets that the spec names; a machine that lacks one fails, it never falls back.

    Raises WeightsMismatchError where this installation's catalog names another file under that name;
    ConfigError, ModelError.
    """
    from facefx.faces.blazeface import BlazeFace  # with the nets comes onnxruntime, which plans do not need
    from facefx.faces.yunet import YuNet

    if spec.name not in _KINDS:
        raise ConfigError(f"detector {spec.name!r} is unknown; expected {', '.join(_KINDS)}")
    cards = [get_card(net.name) for net in spec.nets]
    for card, net in zip(cards, spec.nets, strict=True):
        if card.sha256 != net.sha256:
            raise WeightsMismatchError(
                f"net {net.name!r}: the plan expects sha256 {net.sha256}, the catalog of this installation "
                f"names {card.sha256}; install the facefx version that made the plan"
            )
    session = load_session(cards[0], device=spec.device)
    if spec.name == "yunet":
        return YuNet(session, spec.nets, spec.scales, spec.threshold)
    return BlazeFace(session, spec.nets, spec.scales, spec.threshold, name=spec.name)
