"""Errors that come from another process, as good as those of one's own."""

from __future__ import annotations

from facefx.errors import DamagedError, FacefxError, StageError, error_class
from facefx.pipeline.runner import Failure

__all__ = ["PeerLostError", "RemoteTraceback", "error_of"]


class RemoteTraceback(Exception):
    """The traceback of an error in another process, chained as its cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class PeerLostError(StageError):
    """Another process of the graph went away; the segment is lost, and may be innocent."""


def error_of(failure: Failure) -> FacefxError:
    """Make an error again, of its own class where it is one of the tree.

    >>> error_of(Failure("SourceError", "a.mp4: empty", 3))
    SourceError('a.mp4: empty')
    """
    made = error_class(failure.kind, StageError)
    error = made.__new__(made)
    error.args = (failure.message,)
    if isinstance(error, DamagedError):
        error.decoded, error.expected = failure.damaged or (0, 0)
    error.__cause__ = RemoteTraceback(failure.log)
    return error
