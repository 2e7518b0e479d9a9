"""What stands inside RTMP's messages of picture and sound: the bodies of FLV's tags.

Source: Adobe, Flash Video File Format 10.1 (2010), annex E.4; ISO/IEC 14496-15 §5.3.3 (avcC); ISO/IEC
14496-3 §1.6.2 (AudioSpecificConfig), ISO/IEC 13818-7 §6.2 (ADTS).
"""

from __future__ import annotations

from facefx.errors import UnsupportedError
from facefx.video.live_amf import Value, encode
from facefx.video.live_values import AudioTemplate, CodedUnit, LiveStream
from facefx.video.nal import units

__all__ = ["FlvBodies", "sound_objection"]

_SPS, _PPS = 7, 8
_AVC, _KEY, _INTER = 7, 0x10, 0x20
_AAC, _MP3 = 0xAF, 0x2F  # AAC's rate, size and channels are fixed here; its own header says them
_ADTS = b"\xff\xf0"


def sound_objection(audio: AudioTemplate) -> str:
    """Say why FLV cannot hold a copy of this sound; "" if it can."""
    if audio.codec in ("aac", "mp3"):
        return ""
    return f"RTMP carries AAC and MP3, not {audio.codec}: send AAC, or leave the sound out"


class FlvBodies:
    """Turns coded units into the bodies of messages. extradata: SPS and PPS behind start codes."""

    def __init__(self, stream: LiveStream, extradata: bytes) -> None:
        self._audio = stream.audio
        self._stream = stream
        self._config = _avc_config(extradata)
        self._sound_config = self._audio.extradata if self._audio and self._audio.codec == "aac" else b""

    def metadata(self) -> bytes:
        """The message that tells a server what comes."""
        video = self._stream.video
        told: dict[str, Value] = {
            "width": video.format.width,
            "height": video.format.height,
            "videocodecid": _AVC,
            "encoder": "facefx",
        }
        if video.average_rate:
            told["framerate"] = float(video.average_rate)
        if self._audio is not None:
            told |= {
                "audiocodecid": 10 if self._audio.codec == "aac" else 2,
                "stereo": self._audio.channels > 1,
            }
            told |= {"audiosamplerate": self._audio.sample_rate}
        return encode("@setDataFrame", "onMetaData", told)

    def video_header(self) -> bytes:
        """The decoder's configuration; before the first picture."""
        return bytes([_KEY | _AVC, 0, 0, 0, 0]) + self._config

    def sound_header(self, unit: CodedUnit | None = None) -> bytes | None:
        """The sound's configuration; of ADTS it is known from the first packet on."""
        if self._audio is None or self._audio.codec != "aac":
            return None
        if not self._sound_config and unit is not None and _is_adts(unit.data):
            self._sound_config = _sound_config(unit.data)
        return bytes([_AAC, 0]) + self._sound_config if self._sound_config else None

    @property
    def needs_no_header(self) -> bool:
        """True for sound whose packets say all themselves."""
        return self._audio is not None and self._audio.codec != "aac"

    def video(self, unit: CodedUnit) -> bytes:
        """A picture; its decoding time is the message's, the rest stands here, in milliseconds."""
        ahead = max(0, round((unit.pts - unit.dts) * unit.time_base * 1000))
        kind = (_KEY if unit.keyframe else _INTER) | _AVC
        body = b"".join(len(nal).to_bytes(4, "big") + nal for nal in units(unit.data))
        return bytes([kind, 1]) + ahead.to_bytes(3, "big") + body

    def sound(self, unit: CodedUnit) -> bytes:
        """A packet of sound."""
        if self._audio is not None and self._audio.codec == "mp3":
            return bytes([_MP3]) + unit.data
        data = unit.data
        if _is_adts(data):
            data = data[7 if data[1] & 1 else 9 :]
        return bytes([_AAC, 1]) + data


def _avc_config(extradata: bytes) -> bytes:
    """AvcC of the encoder's SPS and PPS."""
    nals = list(units(extradata))
    sps = [nal for nal in nals if nal[0] & 31 == _SPS]
    pps = [nal for nal in nals if nal[0] & 31 == _PPS]
    if not sps or not pps:
        raise UnsupportedError("the encoder gives no SPS and PPS, without which nobody can decode its stream")
    parts = [bytes([1]), sps[0][1:4], bytes([0xFF, 0xE0 | len(sps)])]
    parts += [len(nal).to_bytes(2, "big") + nal for nal in sps]
    parts += [bytes([len(pps)]), *(len(nal).to_bytes(2, "big") + nal for nal in pps)]
    return b"".join(parts)


def _is_adts(data: bytes) -> bool:
    return len(data) > 7 and data[0] == _ADTS[0] and data[1] & 0xF6 == _ADTS[1]


def _sound_config(data: bytes) -> bytes:
    """AudioSpecificConfig of an ADTS header: object type, rate, channels."""
    kind, rate = (data[2] >> 6) + 1, data[2] >> 2 & 15
    channels = (data[2] & 1) << 2 | data[3] >> 6
    return (kind << 11 | rate << 7 | channels << 3).to_bytes(2, "big")
