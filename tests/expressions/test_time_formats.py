"""Datetimes are read in the formats people and programs write, and nothing is guessed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from budflow.expressions.time_formats import read_time, write_time

at = datetime.fromisoformat  # Without a zone, which a text may lack.
DAY = at("2026-01-31")
NOON = at("2026-01-31T13:05:09")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-01-31", DAY),
        ("2026-01-31T13:05:09", NOON),
        ("2026-01-31 13:05:09.250", NOON.replace(microsecond=250_000)),
        ("2026-01-31T13:05:09Z", NOON.replace(tzinfo=UTC)),
        ("2026-W05-6", DAY),
        ("20260131T130509", NOON),
        ("2026/01/31 13:05:09", NOON),
        ("2026-1-31", DAY),
        ("2026-01", at("2026-01-01")),
        ("Sat, 31 Jan 2026 13:05:09 GMT", NOON.replace(tzinfo=UTC)),
        ("Sat, 31 Jan 2026 13:05:09 +0100", NOON.replace(tzinfo=timezone(timedelta(hours=1)))),
        ("Sat Jan 31 13:05:09 2026", NOON),
        (
            "Sat Jan 31 2026 13:05:09 GMT+0100 (Central European Time)",
            NOON.replace(tzinfo=timezone(timedelta(hours=1))),
        ),
        ("31 January 2026", DAY),
        ("January 31st, 2026", DAY),
        ("31-Jan-2026", DAY),
        ("Jan 2026", at("2026-01-01")),
        ("Sept 5, 2026", at("2026-09-05")),
        ("Jan 31, 2026 at 1:05:09 PM", NOON),
        ("Jan 31, 2026 1 pm", at("2026-01-31T13:00")),
        ("31 Jan 2026 12 am", DAY),
        ("2026 Jan 31", DAY),
        ("31.01.2026", DAY),
        ("31.1.26 13:05:09", NOON),
        ("01/31/2026", DAY),
        ("31/01/2026", DAY),
        ("01/31/69", at("1969-01-31")),
        ("1/31/2026 1:05:09 PM EST", NOON.replace(tzinfo=timezone(timedelta(hours=-5)))),
        ("1769864709", NOON.replace(tzinfo=UTC)),
        ("1769864709000", NOON.replace(tzinfo=UTC)),
    ],
)
def test_common_formats_are_read(text: str, read: datetime) -> None:
    found = read_time(text)
    assert found == read
    assert found is not None
    assert found.utcoffset() == read.utcoffset()


def test_where_day_and_month_could_be_either_the_month_is_first_unless_told() -> None:
    assert read_time("02/03/2026") == at("2026-02-03")
    assert read_time("02/03/2026", day_first=True) == at("2026-03-02")
    assert read_time("02.03.2026") == at("2026-03-02")


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "soon", "12", "123456", "2026-13-01", "2026-02-30", "31 Foo 2026", "Mayday 2026", "1 2 3 4"),
        *("Jan Feb 2026", "25:00", "13 pm 31 Jan 2026", "2026-01-31T25:00", "31.01", "January", "9" * 100, "x" * 101),
        *(
            "99/99/9999",
            "\u0663\u0661.\u0660\u0661.\u0662\u0660\u0662\u0666 x",
            "2026-01-31 foo",
            "\x00",
            "1 Jan 99999",
        ),
    ],
)
def test_what_is_no_datetime_is_none(text: str) -> None:
    assert read_time(text) is None


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("yyyy-MM-dd'T'HH:mm:ss", "2026-01-31T13:05:09"),
        ("%Y-%m-%d", "2026-01-31"),
        ("MMMM do", "January 31st"),
        ("", ""),
        ("—/—", "—/—"),
        ("''", "'"),
    ],
)
def test_datetimes_are_written_by_tokens_or_directives(pattern: str, written: str) -> None:
    assert write_time(NOON, pattern) == written
