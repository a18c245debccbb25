"""trigger.error."""

from tests.nodes.harness import run, spec_of


def test_the_failure_enters_as_it_is_told() -> None:
    told = {"execution": {"id": "exe_1"}, "failure": {"code": "http.status", "message": "No.", "node": None}}

    ran = run("trigger.error", {}, [told])

    assert ran.ports == {"main": [told]}
    assert ran.lineage == {"main": [0]}


def test_a_trigger_has_no_input_port() -> None:
    assert spec_of("trigger.error").trigger
    assert spec_of("trigger.error").input_ports({}) == ()
