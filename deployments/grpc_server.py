"""Frames over gRPC, a process of its own.

    python deployments/grpc_server.py

FACEFX_TOKEN or FACEFX_TOKEN_FILE: tokens, one a line. FACEFX_GRPC: the rest as JSON, such as
{"host": "0.0.0.0", "tls": {"certificate": "server.pem", "key": "server.key"}}. Ends in good order on SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys

from facefx.cluster.grpc_server import run_server
from facefx.cluster.grpc_settings import grpc_settings_from
from facefx.errors import ExitCode, FacefxError
from facefx.live.frame_service import FrameService

__all__ = ["main"]


def main() -> int:
    """Load the nets, serve until told to end, and return the exit code."""
    try:
        settings = grpc_settings_from()
        with FrameService(
            settings.serving(), workers=settings.workers, sessions=settings.sessions
        ) as service:
            service.warm()
            asyncio.run(run_server(settings, service, _say))
    except FacefxError as error:
        sys.stderr.write(f"error: {error}\n")
        return int(error.exit_code)
    return int(ExitCode.DONE)


def _say(address: str) -> None:
    sys.stdout.write(f"listening on {address}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
