"""One video in, a table of its faces out: everything that rendering needs to know of them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import facefx
from facefx.config import RunConfig
from facefx.errors import UsageError
from facefx.faces.analysis import Analysis
from facefx.faces.table import TableHeader, VideoFacts
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.kept import TableStage, Told, video_facts
from facefx.pipeline.plan import make_analysis
from facefx.pipeline.report import process_cost
from facefx.pipeline.run import Progress
from facefx.pipeline.stages import DecodeStage, DetectStage, LandmarkStage
from facefx.storage import publishing, same_place, staged
from facefx.telemetry.ledger import Ledger, StageRow
from facefx.video.info import MediaInfo
from facefx.video.probe import probe

__all__ = ["AnalysisReport", "analyze_video"]


@dataclass(slots=True)
class AnalysisReport:
    """The account of one analysis; header is what the table says of itself."""

    source: str
    output: str
    header: TableHeader
    stages: tuple[StageRow, ...]
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        header = self.header.to_json()
        return {
            "facefx": facefx.__version__,
            "source": self.source,
            "output": self.output,
            "sha256": {"source": self.header.video.sha256},
            "frames": self.header.seen.frames,
            "rows": self.header.seen.rows,
            "faces": header["faces"],
            "landmarks": header["landmarks"],
            "notes": list(self.notes),
            "damage": header["damage"],
            "plan": header["analysis"],
            "stages": [row.to_json() for row in self.stages],
            "wall_s": round(self.wall_s, 4),
            "cpu_s": round(self.cpu_s, 4),
            "peak_rss_bytes": self.peak_rss_bytes,
        }


class _Job:
    """One analysis's stages, and what they say when they are done."""

    def __init__(
        self, local: Path, target: Path, info: MediaInfo, video: VideoFacts, analysis: Analysis
    ) -> None:
        self.decode = DecodeStage(local, info, analysis)
        self.detect = DetectStage(analysis, info.video)
        self.landmark = (
            None if analysis.landmarker is None else LandmarkStage(analysis.landmarker, info.video)
        )
        self.table = TableStage(target, analysis, video, self._told)
        meshed = () if self.landmark is None else (self.landmark,)
        self.stages = (self.detect, *meshed, self.table)
        self.ledger = Ledger([self.decode.name, *(stage.name for stage in self.stages)])
        self.expected = info.video.frames_expected

    def run(self, threads: int, progress: Progress | None) -> TableHeader:
        """Look at every frame, and say what the table now says."""
        done = 0
        with closing(InlineRunner(self.decode, self.stages, self.ledger, threads).stream()) as stream:
            for work in stream:
                done += len(work.batch)
                if progress is not None:
                    progress(done, self.expected)
        assert self.table.header is not None
        return self.table.header

    def _told(self) -> Told:
        assert self.decode.source is not None
        landmarks = None if self.landmark is None else self.landmark.found
        return Told(self.detect.found, landmarks, asdict(self.decode.source.damage))


def analyze_video(
    source: str,
    output: str,
    config: RunConfig,
    *,
    landmarks: bool = True,
    progress: Progress | None = None,
) -> AnalysisReport:
    """Find the faces of one video and publish their table, whole, or not at all.

    source, output: paths or URLs. config: what it says of effects and encoding is not used.
    landmarks: also find each face's mesh, which effects beyond hiding need.

    Raises any error of the tree; then nothing stands under the output's name that was not there.
    """
    if same_place(source, output):
        raise UsageError(f"{output}: output is the input; give it another name")
    with staged(source) as local, publishing(output) as publication:
        info = probe(local)
        info.require_supported()
        analysis = make_analysis(config, landmarks=landmarks)
        job = _Job(local, publication.path, info, video_facts(local, source, info), analysis)
        header = job.run(config.threads, progress)
        publication.commit()
    assert job.decode.source is not None
    damage = job.decode.source.damage
    cpu_s, peak = process_cost()
    notes = (f"the input is damaged: {damage}",) if damage else ()
    return AnalysisReport(source, output, header, job.ledger.rows(), job.ledger.wall_s, cpu_s, peak, notes)
