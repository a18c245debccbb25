"""The trace of an execution: taken from who started it where that is well-formed, else its own."""

import pytest

from budflow.model.traceparent import is_traceparent, traceparent_of

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_given_trace_goes_on_with_a_span_of_the_execution() -> None:
    made = traceparent_of("exe_1", GIVEN)

    version, trace, span, flags = made.split("-")
    assert (version, trace, flags) == ("00", "4bf92f3577b34da6a3ce929d0e0e4736", "01")
    assert span != "00f067aa0ba902b7"
    assert is_traceparent(made)


def test_an_unsampled_trace_stays_so() -> None:
    assert traceparent_of("exe_1", GIVEN[:-2] + "00").endswith("-00")


def test_without_a_trace_the_execution_begins_one_that_is_always_the_same() -> None:
    made = traceparent_of("exe_1", None)

    assert is_traceparent(made)
    assert made == traceparent_of("exe_1", None)
    assert made.split("-")[1] != traceparent_of("exe_2", None).split("-")[1]


def test_of_a_later_version_the_known_part_is_read() -> None:
    later = "01" + GIVEN[2:] + "-what-comes-next"

    assert traceparent_of("exe_1", later) == traceparent_of("exe_1", GIVEN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        GIVEN.upper(),
        GIVEN + "-more",
        GIVEN + " ",
        "ff" + GIVEN[2:],
        "01" + GIVEN[2:] + "more",
        GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        GIVEN.replace("00f067aa0ba902b7", "0" * 16),
    ],
)
def test_a_malformed_trace_is_as_good_as_none(text: str) -> None:
    assert not is_traceparent(text)
    assert traceparent_of("exe_1", text) == traceparent_of("exe_1", None)
