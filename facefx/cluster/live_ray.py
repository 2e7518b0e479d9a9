"""What the cluster's head knows, asked in a way that ends."""

from __future__ import annotations

from typing import Any

import ray

__all__ = ["NAMESPACE", "alive_nodes", "find", "lane_names", "node_id", "still_alive"]

NAMESPACE = "facefx"
LANE, SPARE = "stream-", "spare-"


def node_id() -> str:
    """The cluster's own number of this machine."""
    return str(ray.get_runtime_context().get_node_id())


def alive_nodes() -> frozenset[str]:
    """The machines that count as alive."""
    return frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])


def still_alive() -> bool:
    """True if the cluster's head answers, and counts this machine as alive."""
    return node_id() in alive_nodes()


def lane_names() -> list[str]:
    """The names of all lanes of streams, spare ones too, that are not known to be dead."""
    rows: list[dict[str, str]] = ray.util.list_named_actors(all_namespaces=True)
    names = (row["name"] for row in rows if row["namespace"] == NAMESPACE)
    return sorted(name for name in names if name.startswith((LANE, SPARE)))


def find(name: str) -> Any | None:
    """The actor of this name; None where there is none any more."""
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None
