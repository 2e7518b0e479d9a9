"""Room for one stream's lane: what it needs, whether a cluster can have it, and the reservation itself.

A reservation is a detached placement group: the autoscaler sees it as demand, and it outlives its lane, so
that nobody takes the place of one that was lost and is being replaced.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

from facefx.cluster.placement import Node
from facefx.errors import ConfigError, ResourcesError

__all__ = ["LaneNeeds", "check_room", "free_room", "needs_of", "node_of", "reserve", "reserved"]

PREFIX = "facefx-lane-"
# A group that fits is made within milliseconds; a scheduler under load is given this long.
_ROOM_S = 2.0


@dataclass(frozen=True, slots=True)
class LaneNeeds:
    """What one lane reserves on one node. device: what its nets run on."""

    device: str = "cpu"
    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def bundle(self) -> dict[str, float]:
        """As Ray counts it."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU, {self.gpus:g} GPU"


def needs_of(device: str, nodes: Sequence[Node], cpus: float, gpus: float) -> LaneNeeds:
    """What a lane for this device needs; cpus, gpus: of a lane, gpus where it has one.

    Raises ConfigError for a device that a lane cannot have: it sees one GPU, which is number 0 to it.

    >>> needs_of("auto", [Node("a", 8, gpus=1)], 1, 0.25)
    LaneNeeds(device='cuda:0', cpus=1, gpus=0.25)
    """
    if device == "auto":
        device = "cuda:0" if any(node.gpus for node in nodes) else "cpu"
    if device == "cpu":
        return LaneNeeds("cpu", cpus)
    if device in ("cuda", "cuda:0"):
        return LaneNeeds("cuda:0", cpus, gpus)
    raise ConfigError(f"device {device!r} cannot be chosen for a stream: expected auto, cpu or cuda:0")


def check_room(needs: LaneNeeds, nodes: Sequence[Node]) -> None:
    """See that one of these nodes could hold a lane if it were empty.

    Raises ResourcesError with need and have.
    """
    if not any(node.cpus >= needs.cpus and node.gpus >= needs.gpus for node in nodes):
        have = ", ".join(f"{node.name}: {node.cpus:g} CPU, {node.gpus:g} GPU" for node in nodes)
        raise ResourcesError(
            f"a stream needs {needs} on one node, the cluster has {have or 'no node'}; "
            "choose another device, or add nodes"
        )


def reserve(needs: LaneNeeds, nodes: Sequence[Node], name: str, scale_s: float = 0.0) -> PlacementGroup:
    """Reserve room for one lane. name: whom it is for. scale_s: how long the cluster may take to grow.

    Raises ResourcesError with need and have where there is no room, at once where scale_s is 0.
    """
    if not scale_s:
        check_room(needs, nodes)
    full = f"{PREFIX}{name}~{secrets.token_hex(4)}"  # a name is free only some time after its group is gone
    group = placement_group([needs.bundle], strategy="STRICT_PACK", name=full, lifetime="detached")
    if group.wait(max(_ROOM_S, scale_s)):
        return group
    free_room(group)
    free = ray.available_resources()
    grew = f", and the cluster did not grow within {scale_s:g} s" if scale_s else ""
    raise ResourcesError(
        f"a stream needs {needs} on one node, the cluster has {free.get('CPU', 0):g} CPU, "
        f"{free.get('GPU', 0):g} GPU free{grew}; end a stream, or add nodes"
    )


def free_room(group: PlacementGroup | None) -> None:
    """Give a reservation back; what still runs in it is ended."""
    if group is not None:
        remove_placement_group(group)


def node_of(group: PlacementGroup) -> str:
    """The cluster's number of the machine where a reservation lies; "" where it lies nowhere yet."""
    nodes = placement_group_table(group).get("bundles_to_node_id") or {}
    return str(nodes.get(0) or "")


def reserved() -> list[tuple[str, PlacementGroup]]:
    """The reservations that there are, and whom each is for."""
    table: dict[str, dict[str, Any]] = placement_group_table()
    return [
        (row["name"].removeprefix(PREFIX).rpartition("~")[0], PlacementGroup(_group_id(key)))
        for key, row in table.items()
        if row["name"].startswith(PREFIX) and row["state"] != "REMOVED"
    ]


def _group_id(text: str) -> Any:
    return ray.PlacementGroupID(bytes.fromhex(text))
