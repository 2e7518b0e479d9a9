"""The `facefx` command: its groups, and how an error becomes one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.exceptions import TyperException

import facefx
from facefx.cli import (
    analyze,
    archive,
    demo,
    doctor,
    effects,
    gallery,
    live,
    models,
    probe,
    render,
    run,
    trace,
    verify,
)
from facefx.errors import ExitCode, FacefxError

__all__ = ["app", "main"]

app = typer.Typer(
    name="facefx",
    help="Face effects on video: find every face, change its pixels, leave the rest untouched.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facefx {facefx.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Face effects on video: find every face, change its pixels, leave the rest untouched."""


for _group in (run, live, analyze, render, probe, effects, gallery, verify, trace, doctor, demo):
    _group.register(app)
app.add_typer(models.app, name="models")
app.add_typer(archive.app, name="archive")


_INTERRUPTED = "interrupted: nothing unfinished was published"


class _Terminated(BaseException):
    """SIGTERM, made an exception so that every cleanup on the way out runs."""


def _on_term(signum: int, frame: FrameType | None) -> None:
    raise _Terminated


def main(argv: list[str] | None = None) -> int:
    """Run a command; return what the shell gets: 0, 1, 2, 3, 4, 5, 130 or 143.

    An error of the tree is one line on stderr. An error that is none of ours is a bug: one line
    too, and the traceback with FACEFX_DEBUG=1.
    """
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    signal.signal(signal.SIGTERM, _on_term)
    try:
        result: Any = app(args=argv, standalone_mode=False)
        if result == ExitCode.INTERRUPTED:  # what typer makes of Ctrl-C
            errors.print(_INTERRUPTED)
        return int(result) if isinstance(result, int) else ExitCode.DONE
    except FacefxError as error:
        errors.print(f"error: {' '.join(str(error).split())}")
        return error.exit_code
    except typer.Exit as error:
        return error.exit_code
    except TyperException as error:
        # format_message names the option; the base class, which has none, is what typer promises.
        said = getattr(error, "format_message", error.__str__)()
        errors.print(f"error: {' '.join(said.split())}; see facefx --help")
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        errors.print(_INTERRUPTED)
        return ExitCode.INTERRUPTED
    except _Terminated:
        errors.print("terminated: nothing unfinished was published")
        return ExitCode.TERMINATED
    except BrokenPipeError:
        # The reader of our output has left (`facefx … | head`): nothing more to say, and no traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception as error:
        if os.environ.get("FACEFX_DEBUG") == "1":
            raise
        errors.print(
            f"internal error: {type(error).__name__}: {error}; this is a bug of facefx: "
            "run again with FACEFX_DEBUG=1 and report the traceback"
        )
        return ExitCode.INTERNAL
