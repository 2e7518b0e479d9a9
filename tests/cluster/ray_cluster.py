"""One local cluster for all tests of this folder: two GPUs are declared, none is needed."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # Ray warns of a coming change of its default

from facefx.cluster.connect import Cluster, connected

STORE_BYTES = 200 << 20
HERE = str(Path(__file__).parent)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray's own files warn of their own affairs: sockets and processes that it lets Python collect."""
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning:ray"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        # Lanes import what they are to do; they are started with this environment.
        patch.setenv("PYTHONPATH", os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")]))
        with connected(cpus=8, gpus=2, store_bytes=STORE_BYTES) as cluster:
            yield cluster
        gc.collect()  # Ray's processes are gone; what stood for them must not complain later
