"""A run's ledger, and its trace where one is wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import facefx
from facefx.errors import FacefxError, UsageError
from facefx.storage import publishing, same_place
from facefx.telemetry.ledger import Ledger
from facefx.telemetry.trace import TraceWriter

__all__ = ["entered", "ledger_of"]

T = TypeVar("T")


@contextmanager
def ledger_of(source: str, output: str, trace: Path | None, began: float) -> Iterator[Ledger]:
    """Give the ledger of a run that began at `began` (time.time()); with `trace`, write its trace there.

    The trace gets its name when the block ends, however it ends: that of a run that failed or was
    stopped is whole too and says "failed" with the error, since that is the run one wants to look into.

    Raises UsageError where the trace would overwrite the video, SinkError where it cannot be written.
    """
    if trace is None:
        yield Ledger(lead_s=max(time.time() - began, 0.0))
        return
    for other in (source, output):
        if same_place(str(trace), other):
            raise UsageError(f"{trace}: the trace would overwrite {other}; give it another name")
    with publishing(str(trace)) as publication:
        writer = TraceWriter(publication.path, f"facefx run {source}", began)
        ledger = Ledger(lead_s=max(time.time() - began, 0.0), recorder=writer)
        facts = {"facefx": facefx.__version__, "source": source, "output": output, "failed": ""}
        try:
            yield ledger
        except BaseException as error:
            facts["failed"] = f"{type(error).__name__}: {error}".removesuffix(": ")
            with suppress(FacefxError):  # a second error must not hide the first
                writer.finish(ledger.account(), facts)
                publication.commit()
            raise
        writer.finish(ledger.account(), facts)
        publication.commit()


@contextmanager
def entered(ledger: Ledger, name: str, context: AbstractContextManager[T]) -> Iterator[T]:
    """Enter a context and count the entering, not the block, as work outside the stages.

    >>> from contextlib import nullcontext
    >>> ledger = Ledger()
    >>> with entered(ledger, "fetch", nullcontext(3)) as value: value
    3
    >>> [part.name for part in ledger.account().threads[0].parts]
    ['fetch']
    """
    with ExitStack() as stack:
        with ledger.outside(name):
            value = stack.enter_context(context)
        yield value
