"""A piece is whole and unchanged, or it is refused before a packet of it is used."""

from __future__ import annotations

import stat
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from facefx.errors import PieceError, SinkError
from facefx.video.packet_sink import decoding_times
from facefx.video.piece import CodedPacket, Piece, PieceHead, PieceWriter

BASE = Fraction(1, 12800)
# Decoding order of pictures that are shown as 0 1 2 3 4 5, two of them ahead of their time.
SHOWN = [0, 3, 1, 2, 5, 4]


def packets(size: int = 50) -> list[CodedPacket]:
    rng = np.random.default_rng(3)
    return [
        CodedPacket(512 * pts, 512 * (i - 2), 512, pts == 0, rng.bytes(size + i))
        for i, pts in enumerate(SHOWN)
    ]


def written(path: Path, coded: list[CodedPacket]) -> PieceHead:
    writer = PieceWriter(path)
    for packet in coded:
        writer.write(packet)
    return writer.finish("libx264", BASE, b"\x01\x02", 3, {"span": [0, 1, None, None]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written(tmp_path / "piece", packets())
    return tmp_path / "piece"


def test_packets_come_back_as_they_were(path: Path) -> None:
    piece = Piece(path)
    assert list(piece.packets()) == packets()
    assert piece.times().tolist() == [512 * pts for pts in sorted(SHOWN)]
    head = piece.head
    assert (head.encoder, head.time_base, head.extradata) == ("libx264", BASE, b"\x01\x02")
    assert (head.packets, head.patched, head.pts_first, head.pts_last) == (6, 3, 0, 5 * 512)
    assert head.note == {"span": [0, 1, None, None]}


def test_packets_of_many_megabytes_are_not_held_together(tmp_path: Path) -> None:
    coded = packets(3 << 20)
    written(tmp_path / "piece", coded)
    piece = Piece(tmp_path / "piece")
    assert len(list(piece._batches(["pts"]))) > 1
    assert list(piece.packets()) == coded


def test_the_same_packets_make_the_same_bytes(path: Path, tmp_path: Path) -> None:
    written(tmp_path / "other", packets())
    assert (tmp_path / "other").read_bytes() == path.read_bytes()


def test_a_piece_without_a_packet_is_a_piece(tmp_path: Path) -> None:
    head = written(tmp_path / "piece", [])
    assert (head.packets, head.pts_first, head.pts_last, head.delay) == (0, None, None, 0)
    assert list(Piece(tmp_path / "piece").packets()) == []


def test_a_flipped_bit_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(PieceError, match=f"{path}: .*make the segment again"):
            Piece(path)
    path.write_bytes(whole)
    Piece(path)


@pytest.mark.parametrize("left", [0, 10, 500, -1, -60])
def test_a_piece_that_was_cut_off_is_refused(path: Path, left: int) -> None:
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(PieceError, match="make the segment again"):
        Piece(path)


def test_a_missing_piece_and_one_of_another_version_are_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(PieceError, match="elsewhere: cannot be read"):
        Piece(tmp_path / "elsewhere")
    plain = {**Piece(path).head.to_json(), "version": 99}
    with pytest.raises(PieceError, match="version 99, expected 1"):
        PieceHead.from_json(plain)


def test_an_unfinished_piece_has_no_name_and_leaves_nothing(tmp_path: Path) -> None:
    writer = PieceWriter(tmp_path / "piece")
    writer.write(packets()[0])
    assert not (tmp_path / "piece").exists()
    writer.close()
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_a_piece(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="nowhere"):
        PieceWriter(tmp_path / "nowhere" / "piece")


def test_the_delay_is_what_the_order_needs_and_what_the_encoder_takes(path: Path) -> None:
    assert Piece(path).head.delay == 2


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_decoding_times_rise_and_are_never_after_showing(delay: int) -> None:
    """Two segments, each of which began its own clock; times are those of the one long stream."""
    steps = [0, 512, 1500, 1600, 4000, 4100]
    first = [CodedPacket(steps[pts], 0, 512, pts == 0, b"") for pts in SHOWN]
    second = [CodedPacket(8000 + steps[pts], 0, 512, pts == 0, b"") for pts in SHOWN]
    dated = list(decoding_times([*first, *second], delay))
    assert [packet for packet, _ in dated] == [*first, *second]
    times = [dts for _, dts in dated]
    assert all(a < b for a, b in pairwise(times))
    assert all(dts <= packet.pts for packet, dts in dated)
    shown = sorted(packet.pts for packet, _ in dated)
    assert times[delay:] == shown[: len(shown) - delay]


def test_fewer_packets_than_the_delay_still_get_times() -> None:
    dated = list(decoding_times([CodedPacket(0, 0, 40, True, b"")], 2))
    assert [dts for _, dts in dated] == [-80]
    assert list(decoding_times([], 2)) == []
