"""The command line: thin, one file a command group."""

from facefx.cli.app import app, main

__all__ = ["app", "main"]
