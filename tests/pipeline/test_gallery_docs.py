"""The gallery in the documentation shows what the effects do today."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facefx.effects.registry import effect_names
from facefx.pipeline.gallery_docs import docs_gallery, strip

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
# Another version of the encoder, or of an effect's arithmetic, may round otherwise; a square in which one
# effect stands for another differs by sixteen and more.
ALIKE_CODES = 3.0

Gallery = tuple[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def fresh() -> Gallery:
    return docs_gallery()


def unlike(fresh: bytes, kept: bytes) -> float:
    """Codes by which the least like of the squares of 16 × 16 differ on average."""
    first, second = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (fresh, kept))
    assert first is not None
    assert second is not None
    assert first.shape == second.shape, "the strip has another number of pictures; write it again: make docs"
    height, width = (side // 16 * 16 for side in first.shape[:2])
    apart = np.abs(first.astype(np.float32) - second)[:height, :width].mean(axis=2)
    return float(apart.reshape(height // 16, 16, width // 16, 16).mean(axis=(1, 3)).max())


def test_the_page_names_what_the_registry_has(fresh: Gallery) -> None:
    """`make docs` writes it again."""
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == fresh[0]
    assert all(f"### {name}\n" in fresh[0] for name in effect_names())


def test_no_strip_is_missing_or_left_over(fresh: Gallery) -> None:
    assert {path.name for path in (DOCS / "gallery").iterdir()} == set(fresh[1])


def test_no_strip_shows_what_an_effect_did_once(fresh: Gallery) -> None:
    for name, data in fresh[1].items():
        kept = (DOCS / "gallery" / name).read_bytes()
        assert unlike(data, kept) < ALIKE_CODES, f"{name}: write it again: make docs"


def test_a_strip_of_another_effect_is_noticed(fresh: Gallery) -> None:
    kept = (DOCS / "gallery" / "effect-whiten.webp").read_bytes()
    assert unlike(fresh[1]["effect-ruddy.webp"], kept) > ALIKE_CODES


def test_a_long_strip_goes_on_in_a_second_row() -> None:
    tile = np.zeros((512, 512, 3), np.uint8)
    assert strip(tile, [tile] * 4).shape[0] < strip(tile, [tile] * 5).shape[0]
    assert strip(tile, [tile] * 4).shape[1] == strip(tile, [tile] * 5).shape[1]
