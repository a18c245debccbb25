"""flow.rate_limit."""

import pytest
from pydantic import ValidationError

from budflow.model.control import Begin, Reserve, Stopped, Wait
from budflow.nodes.flow.rate_limit import RateLimitParams
from tests.nodes.control_play import World
from tests.nodes.harness import run, spec_of

PARAMS = {"limit": 10, "per_seconds": 60, "key": "crm-{{ $json.customer }}"}
GIVEN = [{"customer": "c1"}, {"customer": "c2"}]


def test_every_item_is_reserved_under_the_key() -> None:
    ran = run("flow.rate_limit", PARAMS, GIVEN)

    assert ran.played.reserves == [Reserve(0, "crm-c1", 2, 10, 60)]
    assert ran.played.waits == []
    assert ran.ports == {"main": GIVEN}
    assert ran.lineage == {"main": [0, 1]}


def test_the_items_wait_as_long_as_they_must() -> None:
    ran = run("flow.rate_limit", PARAMS, GIVEN, world=World(reserved_seconds=12.5))

    assert ran.played.waits == [Wait(0, "timer", seconds=12.5)]
    assert ran.ports == {"main": GIVEN}


def test_nothing_needs_no_reservation() -> None:
    ran = run("flow.rate_limit", {"limit": 1}, [])

    assert (ran.played.ended, ran.played.reserves, ran.ports) == ("settled", [], {})


def test_a_stopped_one_is_over() -> None:
    decide = spec_of("flow.rate_limit").call
    state, _ = decide(None, Begin(RateLimitParams(limit=1), 1))

    assert decide(state, Stopped()) == (state, [])


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 1, "per_seconds": 0}, {"limit": 1, "key": ""}, {}])
def test_a_limit_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RateLimitParams.model_validate(wrong)
