"""The examples in docstrings are true: each is run as a reader would run it."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import facefx

MODULES = sorted(
    found.name for found in pkgutil.walk_packages(facefx.__path__, "facefx.") if "__main__" not in found.name
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, verbose=False).failed == 0


def test_there_are_examples_to_run() -> None:
    """Where none is found, none can fail."""
    found = [doctest.DocTestFinder().find(importlib.import_module(name)) for name in MODULES]
    assert sum(len(test.examples) for tests in found for test in tests) > 60
