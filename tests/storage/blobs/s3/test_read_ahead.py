"""How far is read on, and what is kept of it."""

import pytest

from budflow.storage.blobs.s3 import read_ahead
from budflow.storage.blobs.s3.read_ahead import ReadAhead

DATA = bytes(number % 251 for number in range(2_000))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "FIRST_BYTES", 10)
    monkeypatch.setattr(read_ahead, "WINDOW_BYTES_MAX", 80)
    monkeypatch.setattr(read_ahead, "KEPT_BYTES_MAX", 200)


class Reader:
    """Reads DATA under some keys, and notes what was fetched."""

    def __init__(self) -> None:
        self.ahead = ReadAhead()
        self.fetched: list[tuple[int, int]] = []

    def fetch(self, start: int, size: int) -> bytes:
        self.fetched.append((start, size))
        return DATA[start : start + size]

    def read(self, start: int, size: int, key: str = "key") -> bytes:
        found = self.ahead.read(key, len(DATA), start, size, self.fetch)
        assert found == DATA[start : start + size]
        return found

    @property
    def kept(self) -> int:
        return sum(map(len, self.ahead._windows.values()))


def test_windows_grow_while_somebody_reads_on() -> None:
    reader = Reader()

    for start in range(0, 500, 4):
        reader.read(start, 4)

    assert reader.fetched == [
        (0, 10),
        (10, 20),
        (30, 40),
        (70, 80),
        (150, 80),
        (230, 80),
        (310, 80),
        (390, 80),
        (470, 80),
    ]
    assert reader.kept <= 160


def test_a_jump_begins_small_again() -> None:
    reader = Reader()
    reader.read(0, 4)
    reader.read(1_000, 4)

    assert reader.fetched == [(0, 10), (1_000, 10)]


def test_what_is_asked_for_is_fetched_at_once_however_much_it_is() -> None:
    reader = Reader()
    reader.read(5, 1_500)
    reader.read(5, 1_500)

    assert reader.fetched == [(5, 1_500), (5, 1_500)]
    assert reader.kept == 0, "but it is not kept"


def test_nothing_behind_the_end_is_fetched() -> None:
    reader = Reader()

    assert reader.read(1_995, 100) == DATA[1_995:]
    assert reader.read(2_000, 100) == b""
    assert reader.read(9_999, 1) == b""
    assert reader.fetched == [(1_995, 5)]


def test_only_so_much_is_kept_of_all_objects_together() -> None:
    reader = Reader()
    for number in range(100):
        reader.read(number, 10, f"key {number}")

    assert reader.kept == 200
    reader.read(99, 10, "key 99")
    assert len(reader.fetched) == 100, "what was read last is there"


def test_what_is_forgotten_is_fetched_again() -> None:
    reader = Reader()
    reader.read(0, 4)
    reader.read(0, 4, "other")
    reader.ahead.forget("key")
    reader.read(0, 4)
    reader.read(0, 4, "other")

    assert reader.fetched == [(0, 10), (0, 10), (0, 10)]
    assert reader.kept == 20
