"""Every error that facefx raises on purpose, in one tree, and the exit code of each.

    FacefxError                     1  something inside facefx is wrong
    ├── UsageError                  2  the request itself cannot be right
    │   ├── ConfigError             2  a setting is unknown or out of range
    │   └── EffectError             2  an effect or one of its parameters is unknown or out of range
    ├── InputError                  3  what we were given, or where we were sent, cannot be used
    │   ├── SourceError             3  the file cannot be opened or decoded
    │   │   ├── DamagedError        3  the file decodes only in part
    │   │   └── PoisonError         3  working on the file ends every process that tries
    │   ├── StagingError            3  a file of an archive cannot be fetched now, or has changed
    │   ├── UnsupportedError        3  the file holds something that we cannot carry, named
    │   │   └── TooLargeError       3  it asks for more bytes or pixels than we lend
    │   ├── FacesError              3  a table of faces cannot be read, or is not of this video
    │   ├── PieceError              3  a segment's packets are damaged, or are of other work
    │   ├── SinkError               3  the destination cannot be written
    │   ├── LeaseHeldError          3  another run works on the destination
    │   ├── RecordsError            3  an archive's records cannot be read, or are of another plan
    │   ├── StoreAwayError          3  what is known of live streams cannot be read or written now
    │   ├── ClusterError            3  there is no cluster, or it cannot be used
    │   │   └── ResourcesError      3  the cluster cannot give what is asked for
    │   └── ModelError              3  a net cannot be used
    │       ├── WeightsMissingError 3  its file is nowhere to be had
    │       ├── WeightsMismatchError 3 its file is not the one that the catalog names
    │       └── LicenceError        3  the licence policy forbids it
    ├── FidelityError               4  the output is not the input with changed faces; not published
    ├── ShapeError                  1  an array has another shape than its owner promised
    └── StageError                  1  a stage of the graph failed; the cause is chained

A message says what, where, expected, got, and what to do, on one line.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "ClusterError",
    "ConfigError",
    "DamagedError",
    "EffectError",
    "ExitCode",
    "FacefxError",
    "FacesError",
    "FidelityError",
    "InputError",
    "LeaseHeldError",
    "LicenceError",
    "ModelError",
    "PieceError",
    "PoisonError",
    "RecordsError",
    "ResourcesError",
    "ShapeError",
    "SinkError",
    "SourceError",
    "StageError",
    "StagingError",
    "StoreAwayError",
    "TooLargeError",
    "UnsupportedError",
    "UsageError",
    "WeightsMismatchError",
    "WeightsMissingError",
    "error_class",
]


class ExitCode(IntEnum):
    """What a facefx command tells the shell."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    BAD_INPUT = 3
    FIDELITY = 4
    PARTIAL = 5
    INTERRUPTED = 130
    TERMINATED = 143


class FacefxError(Exception):
    """Root of the tree: catch this to catch whatever facefx raises on purpose."""

    exit_code: ExitCode = ExitCode.INTERNAL


def error_class(name: str, default: type[FacefxError] = FacefxError) -> type[FacefxError]:
    """The class of this tree that has the name; the default for a name that has none.

    >>> error_class("SinkError").__name__, error_class("KeyError").__name__
    ('SinkError', 'FacefxError')
    """
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, FacefxError) else default


class UsageError(FacefxError, ValueError):
    """The request cannot be right, whatever the input holds."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A setting is unknown, has the wrong type or is out of range."""


class EffectError(UsageError):
    """An effect or one of its parameters is unknown or out of range."""


class InputError(FacefxError):
    """What we were given, or where we were told to write, cannot be used."""

    exit_code = ExitCode.BAD_INPUT


class SourceError(InputError):
    """A source cannot be opened, read or decoded."""


class DamagedError(SourceError):
    """A source decodes only in part; `decoded` of `expected` frames were readable."""

    def __init__(self, message: str, *, decoded: int, expected: int) -> None:
        super().__init__(message)
        self.decoded = decoded
        self.expected = expected


class PoisonError(SourceError):
    """Working on a source ends every process that tries."""


class StagingError(InputError):
    """A file of an archive cannot be fetched now, or is not the one that was found."""


class UnsupportedError(InputError):
    """The source holds something that cannot be carried over unharmed."""


class TooLargeError(UnsupportedError):
    """The source asks for more bytes or pixels than the limits allow; it was not decoded."""


class FacesError(InputError):
    """A table of faces cannot be read, was made from another video, or lacks what is needed of it."""


class PieceError(InputError):
    """The packets of a segment were damaged in their place of keeping, or are of other work."""


class SinkError(InputError):
    """The destination cannot be written."""


class LeaseHeldError(InputError):
    """Another run works on the destination, or did a moment ago."""


class RecordsError(InputError):
    """The records of an archive cannot be read, or are of another plan or version."""


class StoreAwayError(InputError):
    """The store of live streams does not answer, or does not let us in; streams that run go on."""


class ClusterError(InputError):
    """There is no cluster where we were sent, or it cannot be used."""


class ResourcesError(ClusterError):
    """The cluster cannot give what is asked for, ever or now; the message says need and have."""


class ModelError(InputError):
    """A net cannot be used."""


class WeightsMissingError(ModelError):
    """The file of a net is neither in a model folder, nor cached, nor reachable."""


class WeightsMismatchError(ModelError):
    """The file of a net has another sha256 than the catalog says."""


class LicenceError(ModelError):
    """The licence policy forbids this net."""


class FidelityError(FacefxError):
    """The output breaks the fidelity contract; it was not published."""

    exit_code = ExitCode.FIDELITY


class ShapeError(FacefxError, ValueError):
    """An array has another shape or type than its owner promised."""


class StageError(FacefxError):
    """A stage failed with an error that is not ours; the cause is chained."""
