"""Where tests find real footage and weights, and how they say that they did not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _folder(variable: str) -> Path:
    """The folder that a variable names; without it the test is skipped, or fails where CI is strict."""
    value = os.environ.get(variable, "")
    if value and Path(value).is_dir():
        return Path(value)
    message = f"{variable} does not name a folder (got {value!r})"
    if os.environ.get("FACEFX_STRICT") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def media() -> Path:
    """Real clips, formats, stills and truth boxes."""
    return _folder("FACEFX_MEDIA")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Test weights and reference outputs."""
    return _folder("FACEFX_MODELS")
