"""The notebooks run from the first cell to the last, and are stored without what they said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


# What each must show, as cells with a picture: how many at least, and what one of them calls.
SHOWN = {
    "01_first_effect": (4, "facefx.faces("),  # a photo's faces are shown drawn
    "03_effects_and_how_to_write_one": (3, "Tint.of("),  # the effect that the reader writes is seen at work
    "02_archive_on_ray": (2, "sheets"),  # contact sheets, and a chart from the faces of all videos
}


def images(notebook: Any) -> list[str]:
    """Sources of the cells that showed a picture."""
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code"
        and any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {}))
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_as_a_stranger_runs_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing but what the package ships: no weights, no cache, an empty folder."""
    monkeypatch.delenv("FACEFX_MODELS", raising=False)
    monkeypatch.setenv("FACEFX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = read(path)
    NotebookClient(
        notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = images(notebook)
    least, called = SHOWN[path.stem]
    assert len(shown) >= least, shown
    assert any(called in source for source in shown), f"no picture comes of {called}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_every_notebook_is_known_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(SHOWN)
