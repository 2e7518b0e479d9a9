"""An account as a table: one row a stage or other work of a thread, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facefx.telemetry.account import Account, Kind, Part, ThreadAccount

__all__ = ["HEADER", "TableRow", "table_of"]

HEADER = (
    "",
    "working ms",
    "waiting for input ms",
    "waiting for room ms",
    "working, of the run",
    "working ms/frame",
    "calls",
)
_SHOWN_S = 0.00005


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of text under HEADER; heading: it names a thread, and its last cells are empty."""

    cells: tuple[str, ...]
    heading: bool = False
    total: bool = False


def table_of(account: Account) -> Iterator[TableRow]:
    """Every thread: its name, its stages, its other work, what no stamp covers, and the sum.

    Other work that would read 0.0 is left out, not out of the sum.

    >>> parts = (Part("decode", Kind.WORK, 1.5, calls=3), Part("decode", Kind.WAIT_OUT, 0.5))
    >>> for row in table_of(Account(4.0, 100, (ThreadAccount("main", 2.0, parts),))): print(row.cells)
    ('main, 2,000.0 ms of 4,000.0', '', '', '', '', '', '')
    ('decode', '1,500.0', '', '500.0', '37.5 %', '15.000', '3')
    ('between the stamps', '0.0', '', '', '0.0 %', '0.000', '')
    ('all', '1,500.0', '', '500.0', '37.5 %', '15.000', '')
    """
    for thread in account.threads:
        name = f"{thread.thread}, {1000 * thread.alive_s:,.1f} ms of {1000 * account.total_s:,.1f}"
        yield TableRow((name, *[""] * (len(HEADER) - 1)), heading=True)
        for label, parts in _grouped(thread).items():
            if label not in thread.stages() and sum(part.seconds for part in parts) < _SHOWN_S:
                continue
            yield TableRow(_cells(account, label, parts, _calls(parts)))
        rest = Part("", Kind.OUTSIDE, thread.rest_s)
        yield TableRow(_cells(account, "between the stamps", [rest], 0))
        yield TableRow(_cells(account, "all", [*thread.parts, rest], 0), total=True)


def _grouped(thread: ThreadAccount) -> dict[str, list[Part]]:
    """Parts by the row that they go to: a stage's together, then other work, all setups as one.

    What the tracing itself took comes last.
    """
    rows: dict[str, list[Part]] = {stage: [] for stage in thread.stages()}
    for part in thread.parts:
        label = "setup" if part.kind is Kind.SETUP else part.name
        rows.setdefault(label, []).append(part)
    own = rows.pop("tracing", None)
    return rows if own is None else {**rows, "tracing": own}


def _cells(account: Account, label: str, parts: Sequence[Part], calls: int) -> tuple[str, ...]:
    wait_in, wait_out = _seconds(parts, Kind.WAIT_IN), _seconds(parts, Kind.WAIT_OUT)
    work = _seconds(parts, Kind.WORK, Kind.SETUP, Kind.OUTSIDE)
    return (
        label,
        f"{1000 * work:,.1f}",
        f"{1000 * wait_in:,.1f}" if wait_in else "",
        f"{1000 * wait_out:,.1f}" if wait_out else "",
        f"{100 * work / max(account.total_s, 1e-9):.1f} %",
        f"{1000 * work / max(account.frames, 1):.3f}",
        str(calls) if calls else "",
    )


def _calls(parts: Sequence[Part]) -> int:
    return sum(part.calls for part in parts if part.kind not in (Kind.WAIT_IN, Kind.WAIT_OUT))


def _seconds(parts: Sequence[Part], *kinds: Kind) -> float:
    return sum(part.seconds for part in parts if part.kind in kinds)
