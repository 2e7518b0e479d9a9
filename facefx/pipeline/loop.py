"""Stages one behind the other, in one thread: each step stamped, each error made one of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from facefx.errors import FacefxError, StageError
from facefx.pipeline.stage import Stage, Work
from facefx.telemetry.ledger import Ledger, Span

__all__ = ["drain", "guarded", "push", "read"]

T = TypeVar("T")


def guarded(name: str, call: Callable[[], T]) -> T:
    """Make a stage's call.

    Raises what it raises: an error of the tree as it is, any other as StageError with the cause chained.
    """
    try:
        return call()
    except FacefxError:
        raise
    except Exception as error:
        raise StageError(f"stage {name} failed: {type(error).__name__}: {error}") from error


def read(ledger: Ledger, name: str, items: Iterator[Work]) -> Work | None:
    """The next work of a source of that name; None where it ends."""
    with ledger.work(name) as span:
        work = guarded(name, lambda: next(items, None))
        if work is not None:
            _note(span, work)
    return work


def push(ledger: Ledger, stages: Sequence[Stage], work: Work) -> Iterator[Work]:
    """Take work through the stages; give what the last one hands out."""
    if not stages:
        yield work
        return
    stage = stages[0]
    with ledger.work(stage.name) as span:
        _note(span, work)
        ready = guarded(stage.name, lambda: stage.process(work))
    for item in ready:
        yield from push(ledger, stages[1:], item)


def drain(ledger: Ledger, stages: Sequence[Stage]) -> Iterator[Work]:
    """Nothing more comes: what the stages kept back, in order."""
    for i, stage in enumerate(stages):
        with ledger.work(stage.name, "flush"):
            rest = guarded(stage.name, stage.flush)
        for item in rest:
            yield from push(ledger, stages[i + 1 :], item)


def _note(span: Span, work: Work) -> None:
    """Let a span say which batch it is about."""
    span.saw(len(work.batch), int(work.batch.pts[0]) if len(work.batch) else None)
