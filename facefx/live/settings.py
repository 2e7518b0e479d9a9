"""What one live stream is told: where from, where to, what is done, and how late it may be."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from facefx.config import PolicyConfig, RunConfig

__all__ = ["Late", "LiveSettings"]

Late = Literal["drop", "cover", "hold"]


class LiveSettings(BaseModel):
    """Everything that a live stream can be told; source and targets may hold keys: never log them.

    late: what becomes of a frame that is not ready within budget_s of its packet's arrival: drop (it is left
    out), cover (it goes out black), hold (it waits, and new ones are left out where there is no room); unset:
    cover where faces are hidden, else drop. A frame that nobody looked at never goes out as it came where
    faces are hidden, whatever this says. paced: False works on every frame, however long it takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1, description="rtmp(s)://…, http(s)://….m3u8 or a file")
    targets: tuple[str, ...] = Field((), description="rtmp(s)://…, ….m3u8 or a file")
    effects: tuple[str | dict[str, dict[str, Any]], ...] = Field(
        ("solid",), description="effects as `name:param=value` or {name: {param: value}}, presets as `@name`"
    )
    select: str = Field("all", description="which faces, for effects that do not say who=…")
    detector: str = Field("auto", description="auto, yunet, blazeface or blazeface-short")
    landmarker: str = Field("auto", description="auto, facemesh-468 or facemesh-478")
    device: str = Field("cpu", description="cpu, cuda:N or auto")
    seed: str | None = Field(None, description="secret for seeded noise; unset: derived from the settings")
    budget_s: float = Field(0.15, gt=0, le=10, description="longest time from packet in to packet out")
    late: Late | None = Field(
        None, description="what becomes of a late frame; unset: cover to hide, else drop"
    )
    paced: bool = Field(True, description="false: no frame is ever late, the source waits instead")
    listen: bool = Field(False, description="wait at the source's address for a publisher")
    wait_s: float = Field(5.0, ge=0, le=86400, description="how long the source may take to appear")
    retry_s: float = Field(0.25, gt=0, le=60, description="first pause before the source is opened again")
    linger_s: float = Field(30.0, ge=0, le=86400, description="how long a source that went away is awaited")
    codec: str = Field("libx264", description="encoder of the output")
    preset: str = Field("superfast", description="the encoder's speed preset")
    crf: float | None = Field(None, ge=0, le=63, description="constant quality; unset: the encoder's own")
    bitrate: int | None = Field(None, gt=0, description="bits per second, instead of constant quality")
    gop_s: float = Field(1.0, gt=0, le=10, description="time between two key frames")
    encoder_threads: int = Field(1, ge=1, le=64)
    decoder_threads: int = Field(1, ge=1, le=64)
    audio: Literal["keep", "drop"] = "keep"

    @field_validator("effects", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | dict) else value

    @property
    def run_config(self) -> RunConfig:
        """The part that a run shares, with the live face policy."""
        return RunConfig(
            effects=self.effects,
            select=self.select,
            detector=self.detector,
            landmarker=self.landmarker,
            device=self.device,
            policy=PolicyConfig(look="live"),
            seed=self.seed,
        )
