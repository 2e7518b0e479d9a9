"""Files read in places: an index costs its own bytes, not the video's."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from s3_place import S3Place

from facefx.errors import SourceError
from facefx.storage import Store, opened_in_places

DATA = random.Random(1).randbytes(3 << 20)


@pytest.fixture(params=["disk", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        s3: S3Place = request.getfixturevalue("s3")
        return Store(s3.url, s3.options())
    return Store(str(tmp_path) if request.param == "disk" else f"memory://ranged-{tmp_path.name}")


def test_reading_in_places_gives_what_reading_the_whole_gives(place: Store) -> None:
    place.write("film", DATA)
    file = opened_in_places(place.url_of("film"), len(DATA), place.options)
    whole, chance = io.BytesIO(DATA), random.Random(2)
    for _ in range(30):
        at, size = chance.randrange(len(DATA) + 9), chance.choice([0, 1, 8, 5000, 400_000])
        assert file.seek(at) == whole.seek(at)
        assert file.read(size) == whole.read(size)
        assert file.tell() == whole.tell()
    assert (file.seek(-5, io.SEEK_END), file.read()) == (len(DATA) - 5, DATA[-5:])
    assert (file.seek(3), file.seek(2, io.SEEK_CUR), file.read(1)) == (3, 5, DATA[5:6])


def test_only_what_is_read_is_fetched(place: Store) -> None:
    """An archive is estimated from the indexes of thousands of films: none may be fetched whole for it."""
    place.write("film", DATA)
    file = opened_in_places(place.url_of("film"), len(DATA), place.options)
    file.seek(2 << 20)
    for _ in range(100):
        file.read(100)
    assert file.fetched_bytes == 256 << 10


def test_a_file_that_is_gone_is_named(place: Store) -> None:
    with pytest.raises(SourceError, match="film"):
        opened_in_places(place.url_of("film"), 100, place.options).read(1)
