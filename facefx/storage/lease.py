"""One holder at a time, over any store, without trusting anybody's clock."""

from __future__ import annotations

import threading
from types import TracebackType

from facefx.storage.store import Store

__all__ = ["Lease"]


class Lease:
    """The right to write below a root, held by one process at a time.

    lost: set when another holds it, or when it could not be renewed for ttl_s.
    """

    def __init__(self, store: Store, rel: str, owner: str, ttl_s: float = 60.0) -> None:
        self.lost = threading.Event()

    def acquire(self) -> None:
        """Take the lease. Raises LeaseHeldError, naming the holder and what to do."""
        raise NotImplementedError

    def renew(self) -> None:
        """Tell the others that the holder lives; sets lost where it is lost."""
        raise NotImplementedError

    def release(self) -> None:
        """Give the lease back; safe to call again."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises LeaseHeldError if the lease was lost."""
        raise NotImplementedError

    def __enter__(self) -> Lease:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
