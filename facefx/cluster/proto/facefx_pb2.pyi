# mypy: ignore-errors
# ruff: noqa
# fmt: off
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Coding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CODING_UNSPECIFIED: _ClassVar[Coding]
    CODING_H264: _ClassVar[Coding]
    CODING_AVCC: _ClassVar[Coding]
    CODING_PICTURE: _ClassVar[Coding]
CODING_UNSPECIFIED: Coding
CODING_H264: Coding
CODING_AVCC: Coding
CODING_PICTURE: Coding

class ClientMessage(_message.Message):
    __slots__ = ("open", "frame", "update", "credit")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    open: Open
    frame: Frame
    update: Update
    credit: Credit
    def __init__(self, open: _Optional[_Union[Open, _Mapping]] = ..., frame: _Optional[_Union[Frame, _Mapping]] = ..., update: _Optional[_Union[Update, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("opened", "result", "updated")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    opened: Opened
    result: Result
    updated: Updated
    def __init__(self, opened: _Optional[_Union[Opened, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., updated: _Optional[_Union[Updated, _Mapping]] = ...) -> None: ...

class Chain(_message.Message):
    __slots__ = ("effects_json", "select")
    EFFECTS_JSON_FIELD_NUMBER: _ClassVar[int]
    SELECT_FIELD_NUMBER: _ClassVar[int]
    effects_json: str
    select: str
    def __init__(self, effects_json: _Optional[str] = ..., select: _Optional[str] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("coding", "chain", "timescale", "config", "rotation", "late_s", "credits")
    CODING_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    TIMESCALE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    LATE_S_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    coding: Coding
    chain: Chain
    timescale: int
    config: bytes
    rotation: int
    late_s: float
    credits: int
    def __init__(self, coding: _Optional[_Union[Coding, str]] = ..., chain: _Optional[_Union[Chain, _Mapping]] = ..., timescale: _Optional[int] = ..., config: _Optional[bytes] = ..., rotation: _Optional[int] = ..., late_s: _Optional[float] = ..., credits: _Optional[int] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("number", "pts", "data", "key_frame", "credits")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PTS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    KEY_FRAME_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    number: int
    pts: int
    data: bytes
    key_frame: bool
    credits: int
    def __init__(self, number: _Optional[int] = ..., pts: _Optional[int] = ..., data: _Optional[bytes] = ..., key_frame: _Optional[bool] = ..., credits: _Optional[int] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ("number", "chain")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    number: int
    chain: Chain
    def __init__(self, number: _Optional[int] = ..., chain: _Optional[_Union[Chain, _Mapping]] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("credits",)
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    credits: int
    def __init__(self, credits: _Optional[int] = ...) -> None: ...

class Opened(_message.Message):
    __slots__ = ("window", "max_bytes")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    window: int
    max_bytes: int
    def __init__(self, window: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class Face(_message.Message):
    __slots__ = ("track_id", "left", "top", "right", "bottom", "confidence", "held")
    TRACK_ID_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    track_id: int
    left: float
    top: float
    right: float
    bottom: float
    confidence: float
    held: bool
    def __init__(self, track_id: _Optional[int] = ..., left: _Optional[float] = ..., top: _Optional[float] = ..., right: _Optional[float] = ..., bottom: _Optional[float] = ..., confidence: _Optional[float] = ..., held: _Optional[bool] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("number", "pts", "data", "key_frame", "config", "faces", "seconds", "dropped", "covered")
    class SecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PTS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    KEY_FRAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    COVERED_FIELD_NUMBER: _ClassVar[int]
    number: int
    pts: int
    data: bytes
    key_frame: bool
    config: bytes
    faces: _containers.RepeatedCompositeFieldContainer[Face]
    seconds: _containers.ScalarMap[str, float]
    dropped: str
    covered: str
    def __init__(self, number: _Optional[int] = ..., pts: _Optional[int] = ..., data: _Optional[bytes] = ..., key_frame: _Optional[bool] = ..., config: _Optional[bytes] = ..., faces: _Optional[_Iterable[_Union[Face, _Mapping]]] = ..., seconds: _Optional[_Mapping[str, float]] = ..., dropped: _Optional[str] = ..., covered: _Optional[str] = ...) -> None: ...

class Updated(_message.Message):
    __slots__ = ("number", "refused")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    number: int
    refused: str
    def __init__(self, number: _Optional[int] = ..., refused: _Optional[str] = ...) -> None: ...
