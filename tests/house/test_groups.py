"""Tests that must not run beside each other are in a group of pytest-xdist, which only some versions of pytest know."""

import pytest

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("groups")]


def test_a_group_is_known_to_who_hands_out_the_tests(request: pytest.FixtureRequest) -> None:
    grouped = request.config.getoption("loadgroup", default=False)

    assert request.node.nodeid.endswith("@groups") == bool(grouped)
