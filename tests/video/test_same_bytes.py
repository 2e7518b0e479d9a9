"""Same plan, same bytes: what lies in unwritten memory must not reach an output.

A process's first video meets clean memory and its second does not, so the fault shows on the second only.
glibc fills memory that is given out, and given back, with a byte of our choice: that shows it at once.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facefx.demo import portrait_frames
from facefx.video.clip import write_clip
from facefx.video.recipes import _has_avx512

ENCODE = """
import sys
from pathlib import Path
from facefx.video.codecs import EncodeSettings
from facefx.video.sink import VideoSink
from facefx.video.source import VideoSource
with VideoSource(sys.argv[1]) as source:
    with VideoSink(Path(sys.argv[2]), source.info, EncodeSettings(codec=sys.argv[3])) as sink:
        for batch in source.batches():
            sink.write(batch)
        sink.finish()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own way to fill memory")
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_unwritten_memory_does_not_reach_the_bytes(tmp_path: Path, codec: str) -> None:
    """x264's macroblock tree in AVX-512 read some: 20 macroblocks a row, as here, are no multiple of 16."""
    clip = tmp_path / "in.mp4"
    write_clip(clip, (shown.batch for shown in portrait_frames(320, 240, seconds=1)))
    sums = set()
    for filling in ("0", "85", "170"):
        target = tmp_path / f"{filling}.mp4"
        subprocess.run(
            [sys.executable, "-c", ENCODE, str(clip), str(target), codec],
            env={**os.environ, "MALLOC_PERTURB_": filling},
            check=True,
        )
        sums.add(hashlib.sha256(target.read_bytes()).hexdigest())
    assert len(sums) == 1, "the same frames came to other bytes when memory held something else"


def test_the_processor_is_asked_by_its_right_number() -> None:
    """OpenCV does not name this feature in Python; Linux tells of it too."""
    flags = Path("/proc/cpuinfo").read_text().split()
    assert _has_avx512() == ("avx512f" in flags)
