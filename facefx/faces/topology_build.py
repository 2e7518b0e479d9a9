"""The face topologies, made again from their origin: the connection tables of MediaPipe's own wheel.

Run once, when the origin changes: `write_tables(download_wheel(folder))`; what it writes is package data.
"""

from __future__ import annotations

import ast
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from facefx.errors import ModelError

__all__ = ["MEMBER", "TABLES", "build_tables", "write_tables"]

MEMBER = "mediapipe/python/solutions/face_mesh_connections.py"
TABLES = Path(__file__).with_name("data") / "mediapipe_face.json"

_LICENCE = "Derived from MediaPipe 0.10.21, Copyright 2021 The MediaPipe Authors, Apache-2.0"

Edge = tuple[int, int]
Loop = list[int]


def build_tables(wheel: Path) -> str:
    """Read the wheel's connection tables and return ours as JSON; the same wheel gives the same text.

    Raises ModelError where the wheel cannot be read or its tables are not what they were.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            source = archive.read(MEMBER).decode()
    except (OSError, zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise ModelError(f"{wheel}: {MEMBER} cannot be read from the wheel: {error}") from error
    tables = _edge_tables(source)
    try:
        regions = _regions(tables)
        faces = triangles(tables["FACEMESH_TESSELATION"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{wheel}: {MEMBER} holds other tables than MediaPipe 0.10.21's: {error}") from error
    return _as_text(regions, faces)


def write_tables(wheel: Path, path: Path = TABLES) -> Path:
    """Write what build_tables gives; by default into the package itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(build_tables(wheel), encoding="utf-8")
    return path


def triangles(edges: Sequence[Edge]) -> list[tuple[int, int, int]]:
    """The triangles of a tessellation: its directed 3-cycles, which the table lists edge after edge.

    Any three points that are joined by edges would not do: around each nostril three triangles close
    a ring of three edges that is no triangle itself.

    Raises ValueError where three edges in a row do not close.

    >>> triangles([(0, 1), (1, 2), (2, 0)])
    [(0, 1, 2)]
    """
    found = []
    for first, second, third in zip(edges[0::3], edges[1::3], edges[2::3], strict=True):
        if (first[1], second[1], third[1]) != (second[0], third[0], first[0]):
            raise ValueError(f"edges {first}, {second}, {third} close no triangle")
        found.append((first[0], second[0], third[0]))
    return found


def chains(edges: Sequence[Edge]) -> list[Loop]:
    """Walk the edges as listed: each chain goes on while an edge starts where the last one ended.

    >>> chains([(1, 2), (2, 3), (7, 8)])
    [[1, 2, 3], [7, 8]]
    """
    walks: list[Loop] = []
    for start, end in edges:
        if walks and walks[-1][-1] == start:
            walks[-1].append(end)
        else:
            walks.append([start, end])
    return walks


def loops(edges: Sequence[Edge]) -> list[Loop]:
    """The closed outlines in a table: a chain that closes itself, or two that run side by side.

    The second of two is walked back; a first point is never repeated. An open chain before a closed
    one (the ridge of the nose) is no outline.

    >>> loops([(1, 2), (2, 3), (1, 9), (9, 3)])
    [[1, 2, 3, 9]]
    """
    found: list[Loop] = []
    waiting: Loop | None = None
    for walk in chains(edges):
        if walk[0] == walk[-1]:
            found.append(walk[:-1])
            waiting = None
        elif waiting is None:
            waiting = walk
        else:
            found.append(list(dict.fromkeys(waiting + walk[::-1])))
            waiting = None
    if waiting is not None:
        raise ValueError(f"the line from {waiting[0]} to {waiting[-1]} has no other side")
    return found


def _regions(tables: dict[str, list[Edge]]) -> dict[str, Loop]:
    """Name the loops. MediaPipe's left and right are the subject's already."""
    lips_outer, lips_inner = loops(tables["FACEMESH_LIPS"])
    regions = {"lips_outer": lips_outer, "lips_inner": lips_inner}
    single = {
        "face_oval": "FACE_OVAL",
        "left_eye": "LEFT_EYE",
        "right_eye": "RIGHT_EYE",
        "left_brow": "LEFT_EYEBROW",
        "right_brow": "RIGHT_EYEBROW",
        "nose": "NOSE",
        "left_iris": "LEFT_IRIS",
        "right_iris": "RIGHT_IRIS",
    }
    for name, table in single.items():
        (regions[name],) = loops(tables[f"FACEMESH_{table}"])
    return dict(sorted(regions.items()))


def _edge_tables(source: str) -> dict[str, list[Edge]]:
    """Every `NAME = frozenset([(a, b), …])` in the order of the source, which a set would lose."""
    found: dict[str, list[Edge]] = {}
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args):
            continue
        target, content = node.targets[0], node.value.args[0]
        whole = isinstance(content, ast.List) and all(isinstance(item, ast.Tuple) for item in content.elts)
        if isinstance(target, ast.Name) and whole:
            found[target.id] = ast.literal_eval(content)
    return found


def _as_text(regions: dict[str, Loop], faces: list[tuple[int, int, int]]) -> str:
    """JSON with one region, or twelve triangles, a line."""
    rows = [faces[i : i + 12] for i in range(0, len(faces), 12)]
    named = ",\n".join(f"  {json.dumps(name)}: {json.dumps(loop)}" for name, loop in regions.items())
    tiled = ",\n".join("  " + json.dumps(row, separators=(",", ":"))[1:-1] for row in rows)
    return (
        f'{{\n "source": {json.dumps(_LICENCE)},\n "regions": {{\n{named}\n }},\n'
        f' "triangles": [\n{tiled}\n ]\n}}\n'
    )
