"""A bounded queue between two threads that both sides can leave at once."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Cancelled", "Channel"]

T = TypeVar("T")


class Cancelled(Exception):
    """The other side has left; stop."""


class Channel(Generic[T]):
    """At most `capacity` items wait; put blocks when full (backpressure), get blocks when empty.

    end(): no more items, the reader drains and stops. cancel(): both sides stop now, with
    Cancelled; items still waiting are let go.
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._ended = False
        self._cancelled = False

    @property
    def waiting(self) -> int:
        """How many items lie in it now."""
        return len(self._items)

    def put(self, item: T) -> None:
        """Add an item, waiting for room.

        Raises Cancelled if the reader has left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._capacity)
            if self._cancelled:
                raise Cancelled
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T | None:
        """Take the next item, waiting for it; None when the writer has ended.

        Raises Cancelled if the writer has failed or the run was left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or self._ended or bool(self._items))
            if self._cancelled:
                raise Cancelled
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self) -> None:
        """Say that no more items come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Stop both sides."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()
