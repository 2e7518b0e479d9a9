"""Where the stages run: how they are grouped into processes, what each group needs, how many graphs fit.

Plain arithmetic over what a cluster says it has; nothing here asks a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Literal

from facefx.errors import ConfigError, ResourcesError
from facefx.pipeline.segment import STAGE_NAMES
from facefx.values.frames import frames_in_batch

__all__ = ["Demand", "Group", "Node", "Placement", "parse_grouping", "place"]

# Frames that a graph may have in flight at once, and the part of a node's object store that all may use.
_WINDOW_BYTES = 256 << 20
_STORE_FRAC = 0.3
# The least that keeps decoder and encoder both at work: one batch being read, one being made.
_LEAST_BATCHES = 2
# Each lane holds sessions of its own in a device's memory.
_MOST_LANES_PER_GPU = 8
# How one CPU's time divides over the stages (1080p, libx264 medium); a graph counts as one CPU in all.
_CPU_SHARES = {"decode": 0.2, "detect": 0.15, "landmark": 0.1, "blend": 0.05, "encode": 0.5}
_ON_GPU = frozenset({"detect", "landmark"})
_NAMED = {
    "lane": "decode,detect,landmark,blend,encode",
    "split": "decode|detect,landmark,blend|encode",
    "stages": "decode|detect|landmark|blend|encode",
}
_GRAIN = 10_000  # Ray counts resources in steps of 1/10000


@dataclass(frozen=True, slots=True)
class Node:
    """What one machine of a cluster has in all; store_bytes: its object store."""

    name: str
    cpus: float
    gpus: float = 0.0
    store_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Demand:
    """What of the work bears on where it can run.

    device: of the plan. stages: that any of its segments may have. frame_bytes, frames_per_s: of the
    largest video. look_ahead_s: how long stages keep frames back.
    """

    device: str = "cpu"
    stages: tuple[str, ...] = STAGE_NAMES
    frame_bytes: int = 1920 * 1080 * 3 // 2
    frames_per_s: float = 30.0
    look_ahead_s: float = 2.0

    @property
    def batch_bytes(self) -> int:
        """Bytes of one batch."""
        return self.frame_bytes * frames_in_batch(self.frame_bytes)

    @property
    def store_bytes(self) -> int:
        """The least that a graph of several processes has in the object store."""
        kept = floor(self.look_ahead_s * self.frames_per_s) * self.frame_bytes
        return kept + _LEAST_BATCHES * self.batch_bytes


@dataclass(frozen=True, slots=True)
class Group:
    """Stages that share a process, what it reserves, and in which bundle."""

    names: tuple[str, ...]
    cpus: float
    gpus: float
    bundle: int


@dataclass(frozen=True, slots=True)
class Placement:
    """How work is laid over a cluster: `lanes` graphs of these groups, each graph on one node.

    kind: lane, split, stages or custom. bundles: of one graph's placement group. window_bytes: of frames in
    flight between a graph's processes. device: what the plan must name. reason: why, for a person.
    """

    kind: str
    groups: tuple[Group, ...]
    bundles: tuple[dict[str, float], ...]
    lanes: int
    lanes_per_gpu: int
    window_bytes: int
    device: str
    reason: str


def parse_grouping(text: str, stages: Sequence[str] = STAGE_NAMES) -> tuple[tuple[str, ...], ...]:
    """Read "decode|detect,landmark,blend|encode": stages of a group by commas, groups by bars.

    Raises ConfigError unless it holds each stage once, in the graph's order; landmark may be absent.

    >>> parse_grouping("decode | detect,blend | encode", ("decode", "detect", "blend", "encode"))
    (('decode',), ('detect', 'blend'), ('encode',))
    """
    groups = [[name.strip() for name in group.split(",")] for group in _NAMED.get(text, text).split("|")]
    named = [name for group in groups for name in group]
    if named not in (list(STAGE_NAMES), [name for name in STAGE_NAMES if name != "landmark"]):
        raise ConfigError(
            f"placement {text!r} is unknown: expected auto, lane, split, stages, or the stages in order, "
            f"as in {_NAMED['split']!r}"
        )
    missing = [name for name in stages if name not in named]
    if missing:
        raise ConfigError(f"placement {text!r} lacks {', '.join(missing)}, which the plan needs; name it too")
    kept = (tuple(name for name in group if name in stages) for group in groups)
    return tuple(group for group in kept if group)


def place(asked: str, workers: int | Literal["auto"], nodes: Sequence[Node], demand: Demand) -> Placement:
    """Choose groups, bundles and the number of graphs for what a cluster has.

    asked: auto, lane, split, stages, or a grouping for `parse_grouping`. workers: graphs at once.

    Raises ResourcesError, saying need and have, for what these nodes can never give; ConfigError.
    """
    kind = "lane" if asked == "auto" else asked if asked in _NAMED else "custom"
    grouping = parse_grouping("lane" if asked == "auto" else asked, demand.stages)
    device = _device(demand.device, nodes)
    per_gpu = _lanes_per_gpu(nodes) if device != "cpu" else 0
    groups = _groups(grouping, per_gpu)
    bundles = _bundles(groups)
    store = demand.store_bytes if len(groups) > 1 else 0
    room = {node.name: _fits(node, bundles, store) for node in nodes}
    total = sum(room.values())
    if total < (1 if workers == "auto" else workers):
        raise ResourcesError(_shortage(kind, workers, bundles, store, nodes, total))
    lanes = total if workers == "auto" else workers
    return Placement(
        kind=kind,
        groups=groups,
        bundles=bundles,
        lanes=lanes,
        lanes_per_gpu=per_gpu,
        window_bytes=_window(nodes, room, lanes) if len(groups) > 1 else 0,
        device=device,
        reason="; ".join(_reasons(asked, groups, workers, lanes, per_gpu, device)),
    )


def _device(asked: str, nodes: Sequence[Node]) -> str:
    """A lane sees one GPU, whose number is 0 to it."""
    if asked == "auto":
        return "cuda:0" if any(node.gpus for node in nodes) else "cpu"
    if asked == "cpu":
        return "cpu"
    if asked not in ("cuda", "cuda:0"):
        known = re.fullmatch(r"cuda:\d+", asked)
        raise ConfigError(
            f"device {asked!r} cannot be chosen on a cluster: "
            f"{'every lane sees one GPU, as cuda:0' if known else 'it is unknown'}; "
            "expected auto, cpu or cuda:0"
        )
    return "cuda:0"


def _lanes_per_gpu(nodes: Sequence[Node]) -> int:
    """As many as a node's CPUs can decode and encode for: a GPU looks faster than one CPU encodes."""
    ratios = [node.cpus / node.gpus for node in nodes if node.gpus]
    return max(1, min(_MOST_LANES_PER_GPU, floor(min(ratios, default=1))))


def _groups(grouping: Sequence[tuple[str, ...]], per_gpu: int) -> tuple[Group, ...]:
    """Groups with nets share one bundle, or Ray could spread them over GPUs; others have their own."""
    on_gpu = [bool(per_gpu) and not _ON_GPU.isdisjoint(names) for names in grouping]
    gpus = _floor(1 / per_gpu / sum(on_gpu)) if any(on_gpu) else 0.0
    absent = sum(_CPU_SHARES.values()) - sum(_CPU_SHARES[name] for names in grouping for name in names)
    made: list[Group] = []
    shared: int | None = None
    for names, gpu in zip(grouping, on_gpu, strict=True):
        cpus = sum(_CPU_SHARES[name] for name in names) + (absent if "encode" in names else 0.0)
        bundle = max((group.bundle for group in made), default=-1) + 1
        if gpu:
            bundle = shared = bundle if shared is None else shared
        made.append(Group(names, round(cpus, 4), gpus if gpu else 0.0, bundle))
    return tuple(made)


def _floor(amount: float) -> float:
    return floor(amount * _GRAIN + 1e-6) / _GRAIN


def _bundles(groups: Sequence[Group]) -> tuple[dict[str, float], ...]:
    bundles: list[dict[str, float]] = [{} for _ in range(1 + max(group.bundle for group in groups))]
    for group in groups:
        bundle = bundles[group.bundle]
        bundle["CPU"] = round(bundle.get("CPU", 0.0) + group.cpus, 4)
        if group.gpus:
            bundle["GPU"] = round(bundle.get("GPU", 0.0) + group.gpus, 4)
    return tuple(bundles)


def _need(bundles: Sequence[dict[str, float]], what: str) -> float:
    return round(sum(bundle.get(what, 0.0) for bundle in bundles), 4)


def _fits(node: Node, bundles: Sequence[dict[str, float]], store_bytes: int) -> int:
    """How many graphs fit on a node."""
    room = [floor(node.cpus / _need(bundles, "CPU") + 1e-6)]
    gpus = _need(bundles, "GPU")
    if gpus:
        # A graph's share lies on one device: what is left of two does not make a third.
        room.append(floor(node.gpus) * floor(1 / gpus + 1e-6))
    if store_bytes:
        room.append(floor(node.store_bytes * _STORE_FRAC) // store_bytes)
    return max(0, min(room))


def _window(nodes: Sequence[Node], room: dict[str, int], lanes: int) -> int:
    """Credits of one graph, so that all graphs of a node stay within their part of its store."""
    shares = [
        node.store_bytes * _STORE_FRAC / min(room[node.name], lanes) for node in nodes if room[node.name]
    ]
    return min(_WINDOW_BYTES, floor(min(shares)))


def _shortage(
    kind: str,
    workers: int | str,
    bundles: Sequence[dict[str, float]],
    store_bytes: int,
    nodes: Sequence[Node],
    total: int,
) -> str:
    need = _amounts(_need(bundles, "CPU"), _need(bundles, "GPU"), store_bytes / _STORE_FRAC)
    have = ", ".join(f"{node.name}: {_amounts(node.cpus, node.gpus, node.store_bytes)}" for node in nodes)
    room = f"there is room for {total} of {workers} workers" if total else "no node can take a single one"
    return (
        f"placement {kind}: each worker needs {need} on one node, {room}; "
        f"the cluster has {have or 'no node'}; ask for fewer workers, another placement or device cpu, "
        "or add nodes"
    )


def _amounts(cpus: float, gpus: float, store_bytes: float) -> str:
    store = f", {store_bytes / 2**20:.0f} MiB of object store" if store_bytes else ""
    return f"{cpus:g} CPU, {gpus:g} GPU{store}"


def _reasons(
    asked: str, groups: Sequence[Group], workers: int | str, lanes: int, per_gpu: int, device: str
) -> list[str]:
    shape = "|".join(",".join(group.names) for group in groups)
    reasons = [
        f"{shape}, as asked for"
        if asked != "auto"
        else f"{shape}: frames never leave their process, which costs least"
    ]
    reasons.append(f"{lanes} at once, as {'many as fit' if workers == 'auto' else 'asked for'}")
    if device != "cpu":
        reasons.append(f"{per_gpu} per GPU, as many as its node's CPUs can encode for")
    return reasons
