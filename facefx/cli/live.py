"""`facefx live`: one live stream in, the same out, until it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from facefx.cli import options
from facefx.cli.report import check_report, write_report
from facefx.config import load_settings
from facefx.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from facefx.live.session import LiveSession
    from facefx.live.settings import LiveSettings
    from facefx.live.stats import LiveStats

__all__ = ["register"]

_REFRESH_S = 0.5
_LISTEN_S = 86400.0
_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


def register(app: typer.Typer) -> None:
    """Add `live` to the app."""
    app.command("live")(live)


def live(
    source: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="rtmp(s)://…, http(s)://….m3u8, or a file.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="URL",
            help="Wait here for a publisher, such as rtmp://127.0.0.1:1935/live/KEY.",
        ),
    ] = None,
    out: Annotated[
        list[str] | None,
        typer.Option(
            "--out", "-o", metavar="TARGET", help="rtmp(s)://…, ….m3u8 or a file; repeat for several."
        ),
    ] = None,
    effect: options.Effects = None,
    select: options.Select = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="YAML file with settings of the stream; options win over it."),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", metavar="S", help="Longest time from packet in to packet out.", show_default="0.15"
        ),
    ] = None,
    late: Annotated[
        str | None,
        typer.Option(
            "--late",
            help="What becomes of a frame that is not ready in time: drop, cover (black) or hold.",
            show_default="cover to hide faces, else drop",
        ),
    ] = None,
    detector: options.DetectorName = None,
    landmarker: options.LandmarkerName = None,
    device: options.Device = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="The encoder's speed preset.", show_default="superfast")
    ] = None,
    crf: options.Crf = None,
    bitrate: Annotated[
        int | None,
        typer.Option("--bitrate", metavar="BPS", help="Bits a second, instead of constant quality."),
    ] = None,
    gop: Annotated[
        float | None,
        typer.Option("--gop", metavar="S", help="Time between two key frames.", show_default="1"),
    ] = None,
    encoder_threads: Annotated[
        int | None, typer.Option("--encoder-threads", help="Threads of the encoder.", show_default="1")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="S", help="How long the source may take to appear.", show_default="5"),
    ] = None,
    linger: Annotated[
        float | None,
        typer.Option(
            "--linger", metavar="S", help="How long a source that is gone is awaited.", show_default="30"
        ),
    ] = None,
    audio: options.Audio = None,
    seed: options.Seed = None,
    unpaced: Annotated[
        bool, typer.Option("--unpaced", help="A file as fast as it goes: no frame is ever late.")
    ] = False,
    duration: Annotated[
        float | None, typer.Option("--duration", metavar="S", min=0.1, help="End after so many seconds.")
    ] = None,
    report: options.Report = None,
) -> None:
    """Change the faces of a live stream while it runs: from RTMP, HLS or a file, to any of them.

    Where faces are hidden, no frame goes out that nobody looked at. Ctrl-C ends it and closes the outputs.

    Example: facefx live --listen rtmp://127.0.0.1:1935/live/key --out stream.m3u8 --effect solid
    """
    from facefx.live.settings import LiveSettings

    settings = load_settings(
        LiveSettings,
        config,
        {
            **_ends(source, listen, out),
            **options.changing(effect, select),
            **options.looking(detector, landmarker, device),
            "budget_s": budget,
            "late": late,
            "preset": preset,
            "crf": crf,
            "bitrate": bitrate,
            "gop_s": gop,
            "encoder_threads": encoder_threads,
            "wait_s": _LISTEN_S if wait is None and listen else wait,
            "linger_s": linger,
            "audio": audio,
            "seed": seed,
            "paced": False if unpaced else None,
        },
    )
    _check(settings, report)
    _carry_out(_session(settings), duration, report)


def _ends(source: str | None, listen: str | None, out: list[str] | None) -> dict[str, Any]:
    if source and listen:
        raise UsageError("SOURCE and --listen are both given: expected one of them")
    return {
        "source": source or listen,
        "listen": True if listen else None,
        "targets": tuple(out) if out else None,
    }


def _check(settings: LiveSettings, report: Path | None) -> None:
    """Refuse what cannot be meant, before anything is opened."""
    from facefx.storage import same_place

    if not settings.targets:
        raise UsageError("the stream has nowhere to go: expected --out TARGET")
    files = [target for target in settings.targets if "://" not in target]
    if "://" not in settings.source:
        if any(same_place(settings.source, file) for file in files):
            raise UsageError("a target is the source: give it another name")
        files.append(settings.source)
    if settings.source in settings.targets:
        raise UsageError("a target is the source: give it another name")
    if report is not None:
        check_report(report, files)


def _session(settings: LiveSettings) -> LiveSession:
    """A session whose source and targets are real ones."""
    from facefx.live.ends import LiveEnds
    from facefx.live.session import LiveSession
    from facefx.video.live_rules import SourceRules

    # Whoever runs a command may reach what the command's machine reaches.
    ends = LiveEnds(settings, SourceRules(allow_private=True))
    return LiveSession(settings, open_source=ends.open_source, open_output=ends.open_output)


def _carry_out(session: LiveSession, duration: float | None, report: Path | None) -> None:
    console = Console(stderr=True)
    timer = threading.Timer(duration or 0, session.stop, ["the duration is over"])
    timer.daemon = True
    if duration is not None:
        timer.start()
    caught: list[int] = []
    try:
        with _stopped_by_signals(session, caught), _progress(console, session.stats):
            session.run()
    finally:
        timer.cancel()
        result = session.report()
        if report is not None:
            write_report(report, result.to_json())
        _summary(console, result.reason, result.stats)
    if caught:
        raise typer.Exit(_CODES[signal.Signals(caught[0])])


@contextmanager
def _stopped_by_signals(session: LiveSession, caught: list[int]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the stream, and another one the program."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        signal.signal(number, before[number])
        session.stop("interrupted")

    before: dict[int, Any] = {number: signal.signal(number, on_signal) for number in _CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(console: Console, stats: Callable[[], LiveStats]) -> Iterator[None]:
    """Say on a terminal how it goes; nothing anywhere else."""
    if not console.is_terminal:
        yield
        return
    ended = threading.Event()
    with console.status("starting") as status:

        def tell() -> None:
            while not ended.wait(_REFRESH_S):
                status.update(_line(stats()))

        telling = threading.Thread(target=tell, name="facefx-progress", daemon=True)
        telling.start()
        try:
            yield
        finally:
            ended.set()
            telling.join(_REFRESH_S)


def _line(stats: LiveStats) -> str:
    """How a stream goes, in one line."""
    return (
        f"{stats.state}: {stats.fps:.1f} fps, latency p50 {1000 * stats.p50_s:.0f} ms, "
        f"p95 {1000 * stats.p95_s:.0f} ms, {sum(stats.dropped.values())} dropped, "
        f"{sum(stats.covered.values())} covered, {stats.faces} faces"
    )


def _summary(console: Console, reason: str, stats: LiveStats) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"{stats.label or 'no stream'}: {reason}")
    say(
        f"{stats.frames_in} frames in, {stats.frames_out} out, {stats.tracks.get('next', 0)} faces tracked; "
        f"latency p50 {1000 * stats.p50_s:.0f} ms, p95 {1000 * stats.p95_s:.0f} ms"
    )
    for what in ("dropped", "covered", "failed"):
        counted = getattr(stats, what)
        if counted:
            say(f"{what}: {', '.join(f'{count} {why}' for why, count in counted.items())}")
