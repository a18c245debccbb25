from datetime import UTC, datetime, timedelta, timezone

import pytest

from budflow.storage.rows import from_micros, to_micros


@pytest.mark.parametrize(
    "at",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 22, 19, 45, 59, 999_999, tzinfo=UTC),
        datetime(2199, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_a_time_keeps_every_microsecond(at: datetime) -> None:
    assert from_micros(to_micros(at)) == at


def test_a_time_comes_back_in_utc() -> None:
    at = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    assert from_micros(to_micros(at)).isoformat() == "2026-07-01T10:00:00+00:00"
