"""The runner that needs no cluster: the graph in this process, in one thread or a few.

Which thread runs a stage never changes what it makes: stages see the same items in the same
order either way.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from facefx.pipeline.channel import Cancelled, Channel
from facefx.pipeline.loop import drain, guarded, push, read
from facefx.pipeline.stage import Source, Stage, Work
from facefx.telemetry.ledger import Ledger

__all__ = ["InlineRunner", "group_stages"]

# Two batches (of ≤ 32 MB) between two threads: one being read, one being filled.
_CREDITS = 2


def group_stages(stages: Sequence[Stage], threads: int) -> list[list[Stage]]:
    """Cut the stages behind the source into as many groups as there are threads, from the end.

    The encoder is the dearest stage, so it is the first to get a thread of its own; with three
    the decoder is alone too (its group of stages is then empty).
    """
    if threads <= 1 or not stages:
        return [list(stages)]
    if threads == 2:
        return [list(stages[:-1]), [stages[-1]]]
    return [[], list(stages[:-1]), [stages[-1]]]


@dataclass(slots=True)
class InlineRunner:
    """Run source and stages; iterate to get what the last stage hands out.

    Leaving the iteration, an error in any stage, and the end of the source all end every thread
    and close every stage before control returns. A stage's own FacefxError comes out as it is;
    any other error as StageError with the cause chained.
    """

    source: Source
    stages: Sequence[Stage]
    ledger: Ledger
    threads: int = 1
    _errors: list[BaseException] = field(default_factory=list)

    def stream(self) -> Generator[Work, None, None]:
        """Yield the last stage's work; close the iterator to stop early."""
        self.ledger.begin()
        with ExitStack() as opened:
            opened.callback(self.ledger.stop)
            every: list[Source | Stage] = [self.source, *self.stages]
            for stage in every:
                opened.callback(self._close, stage)
                with self.ledger.setup(stage.name):
                    guarded(stage.name, stage.setup)
            groups = group_stages(self.stages, self.threads)
            run = self._loop(groups[0]) if len(groups) == 1 else self._threaded(groups)
            with closing(run):
                yield from self._hand_out(run)

    def _hand_out(self, run: Iterator[Work]) -> Iterator[Work]:
        """Pass work on to whoever iterates; what they do with it is their own time, not a stage's."""
        for work in run:
            self.ledger.delivered(len(work.batch))
            with self.ledger.outside("consumer"):
                yield work

    def _close(self, stage: Source | Stage) -> None:
        with self.ledger.outside("close", stage=stage.name):
            stage.close()

    def _loop(self, stages: Sequence[Stage]) -> Generator[Work, None, None]:
        items = self.source.items()
        while (work := read(self.ledger, self.source.name, items)) is not None:
            yield from push(self.ledger, stages, work)
        yield from drain(self.ledger, stages)

    def _threaded(self, groups: list[list[Stage]]) -> Generator[Work, None, None]:
        channels: list[Channel[Work]] = [Channel(_CREDITS) for _ in groups[1:]]
        threads = [
            threading.Thread(target=self._serve, args=(i, group, channels), name=f"facefx-{i}", daemon=True)
            for i, group in enumerate(groups[:-1])
        ]
        with self.ledger.outside("threads"):
            for thread in threads:
                thread.start()
        try:
            yield from self._consume(groups[-1], channels[-1])
        except Cancelled:
            pass  # the error that cancelled us is raised below
        finally:
            with self.ledger.outside("threads"):
                for channel in channels:
                    channel.cancel()
                for thread in threads:
                    thread.join()
        if self._errors:
            raise self._errors[0]

    def _consume(self, stages: Sequence[Stage], inbox: Channel[Work]) -> Iterator[Work]:
        name = stages[0].name
        while True:
            with self.ledger.wait_in(name):
                work = inbox.get()
            self.ledger.count(f"batches waiting for {name}", inbox.waiting)
            if work is None:
                break
            yield from push(self.ledger, stages, work)
        yield from drain(self.ledger, stages)

    def _serve(self, i: int, stages: list[Stage], channels: list[Channel[Work]]) -> None:
        names = [self.source.name] * (i == 0) + [stage.name for stage in stages]
        with self.ledger.thread(f"facefx-{i} {', '.join(names)}"):
            try:
                self._fill(channels[i], names[-1], self._produce(i, stages, channels))
            except Cancelled:
                pass
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread and raised there
                self._errors.append(error)
                for channel in channels:
                    channel.cancel()

    def _produce(self, i: int, stages: list[Stage], channels: list[Channel[Work]]) -> Iterator[Work]:
        return self._loop(stages) if i == 0 else self._consume(stages, channels[i - 1])

    def _fill(self, outbox: Channel[Work], name: str, produced: Iterator[Work]) -> None:
        for work in produced:
            with self.ledger.wait_out(name):
                outbox.put(work)
        outbox.end()
