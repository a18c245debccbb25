"""Processes that run nodes get the environment of the server without what opens its store."""

import os

import pytest

from budflow.execution.environment import environment_of_nodes, keeping_back

KEYS, URL = "BUDFLOW_ENCRYPTION_KEYS", "budflow_database_url"


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEYS, URL, "BUDFLOW_HOST"):
        monkeypatch.setenv(name, "set")


def test_the_keys_and_the_address_of_the_store_are_left_out_however_they_are_written() -> None:
    environment = environment_of_nodes()

    assert environment.keys() >= {"BUDFLOW_HOST", "PATH"}
    assert environment.keys().isdisjoint({KEYS, URL})


def test_for_a_library_they_are_put_away_and_come_back() -> None:
    with keeping_back():
        assert os.environ.keys().isdisjoint({KEYS, URL})
        assert os.environ["BUDFLOW_HOST"] == "set"

    assert (os.environ[KEYS], os.environ[URL]) == ("set", "set")


def test_they_come_back_where_the_library_fails() -> None:
    with pytest.raises(RuntimeError), keeping_back():
        raise RuntimeError

    assert os.environ[KEYS] == "set"
