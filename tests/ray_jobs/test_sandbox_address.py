"""What Ray's processes are told of sandboxd, and only while they are started."""

import json
from pathlib import Path

import pytest

from ray_jobs.sandbox_address import ADDRESS_VARIABLE, PLUGIN, PLUGINS_VARIABLE, lent

DIRECTORY = Path("/run/budflow-sandbox")


def test_a_ray_that_is_started_loads_the_plugin_and_knows_sandboxd() -> None:
    environment: dict[str, str] = {}

    with lent(environment, DIRECTORY):
        assert json.loads(environment[PLUGINS_VARIABLE]) == [PLUGIN]
        assert environment[ADDRESS_VARIABLE] == "unix:/run/budflow-sandbox/sandboxd.sock"

    assert environment == {}


def test_plugins_of_the_operator_are_loaded_too() -> None:
    theirs = {"class": "acme.Plugin", "priority": 3}
    before = {PLUGINS_VARIABLE: json.dumps([theirs, PLUGIN]), ADDRESS_VARIABLE: "unix:/other.sock"}
    environment = dict(before)

    with pytest.raises(RuntimeError), lent(environment, DIRECTORY):
        assert json.loads(environment[PLUGINS_VARIABLE]) == [theirs, PLUGIN]
        raise RuntimeError("Ray did not start.")

    assert environment == before


def test_without_a_sandbox_ray_is_told_nothing() -> None:
    environment = {"PATH": "/bin"}

    with lent(environment, None):
        assert environment == {"PATH": "/bin"}
