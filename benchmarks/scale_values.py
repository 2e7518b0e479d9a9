"""What a played archive is made of, and what came of it: the values of benchmarks.simulate."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Costs", "Figures", "Site", "Window"]


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU-seconds of the driver's thread. task_s: Ray's and the runner's, for one task given and taken back;
    look_s, ref_s: for one look at what has ended, and for each unfinished task that it looks at.
    """

    task_s: float
    look_s: float
    ref_s: float


@dataclass(frozen=True, slots=True)
class Site:
    """The cluster and the archive that are played.

    frame_s: seconds of a lane for a frame, as segments of real footage took them; one is drawn for each
    segment. lost: part of the tasks that lose their worker; start_s: until another stands in its place.
    video_s: (median, sigma) of the logarithm's normal distribution of lengths, at frames_per_s; segment_s: of
    a segment. bytes_per_s: of the source's stream; lane_bytes_per_s: between a lane and the store.
    store_s: of the store's reply to the driver, by kind.
    """

    frame_s: tuple[float, ...]
    segment_s: float = 20.0
    frames_per_s: float = 30.0
    video_s: tuple[float, float] = (480.0, 1.0)
    longest_s: float = 3 * 3600.0
    lost: float = 0.002
    start_s: float = 20.0
    lanes_per_node: int = 8
    bytes_per_s: float = 400_000.0
    lane_bytes_per_s: float = 80e6
    store_s: tuple[tuple[str, float], ...] = (
        ("read", 0.03),
        ("write", 0.06),
        ("list", 0.08),
        ("remove", 0.04),
    )
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Window:
    """Which virtual time counts: `s` seconds, after `warm_s` in which everything gets going."""

    warm_s: float
    s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one run, in its window.

    busy: part of the lanes' time in which they did not wait for the driver. share: part of the time in which
    the driver was at work; spent: on what, in the same unit. moving: part of the lanes' time in which they
    fetched and stored files. lost: tasks that lost their worker, in all.
    """

    lanes: int
    seconds: float
    tasks: int
    lost: int
    busy: float
    share: float
    spent: dict[str, float]
    moving: float
    tasks_per_s: float
    video_hours_per_hour: float
