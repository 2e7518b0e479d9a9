"""The yardstick: the plainest transcode that PyAV can do, with the codecs set as facefx sets them.

One decoder thread and one encoder thread unless told otherwise, sound copied, frames passed on untouched.
"""

from __future__ import annotations

import sys

import av

__all__ = ["transcode"]


def transcode(source: str, target: str, preset: str, crf: str, threads: str = "1") -> int:
    """Decode, encode with libx264, copy the sound; return the number of frames."""
    frames = 0
    with av.open(source) as clip, av.open(target, "w") as out:
        video = clip.streams.video[0]
        video.codec_context.thread_count = int(threads)
        encoder = out.add_stream("libx264", rate=video.average_rate, options={"preset": preset, "crf": crf})
        encoder.width, encoder.height = video.width, video.height
        encoder.pix_fmt = video.codec_context.pix_fmt
        if video.time_base:
            encoder.codec_context.time_base = video.time_base
        encoder.codec_context.thread_count = int(threads)
        sounds = {sound.index: out.add_stream_from_template(sound) for sound in clip.streams.audio}
        for packet in clip.demux(video, *clip.streams.audio):
            if packet.stream.index in sounds:
                if packet.dts is not None:
                    packet.stream = sounds[packet.stream.index]
                    out.mux(packet)
                continue
            for frame in video.decode(packet):
                frame.pict_type = 0
                out.mux(encoder.encode(frame))
                frames += 1
        out.mux(encoder.encode(None))
    return frames


if __name__ == "__main__":
    print(transcode(*sys.argv[1:]))
