"""Generates the messages of deployments/facefx.proto, with grpcio-tools: for those who change it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from facefx.errors import ConfigError

__all__ = ["FOLDER", "SOURCE", "generate"]

FOLDER = Path(__file__).parent
SOURCE = FOLDER.parents[2] / "deployments" / "facefx.proto"

_PACKAGE = "facefx/cluster/proto"
# What is generated keeps no rule of ours.
_HEADER = "# mypy: ignore-errors\n# ruff: noqa\n# fmt: off\n"


def generate(source: Path = SOURCE) -> dict[str, str]:
    """The text of each generated file by its name.

    Raises ConfigError where the tools are missing or the source is wrong.
    """
    try:
        from grpc_tools import protoc
    except ImportError as error:
        raise ConfigError("grpcio-tools is missing; install facefx[dev]") from error
    with tempfile.TemporaryDirectory() as folder:
        # Under the package's own path, so that the generated modules import each other by it.
        done = protoc.main(
            [
                "protoc",
                f"-I{_PACKAGE}={source.parent}",
                f"--python_out={folder}",
                f"--pyi_out={folder}",
                f"{_PACKAGE}/{source.name}",
            ]
        )
        if done:
            raise ConfigError(f"{source}: protoc ended with {done}; its own message is above")
        made = sorted(Path(folder, _PACKAGE).iterdir())
        return {file.name: _HEADER + file.read_text(encoding="utf-8") for file in made}
