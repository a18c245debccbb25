"""Which package index there is where the settings name none: the one that uv has on the machine."""

import pytest

from budflow.model.sandbox import RequirementsFailed
from budflow.sandbox.docker.build import default_index, origin_of


def test_the_index_is_the_one_that_uv_is_set_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://packages.example:8443/simple")

    assert default_index() == "https://packages.example:8443/simple"


def test_a_password_of_it_is_not_handed_to_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://me:hunter2@packages.example/simple")

    with pytest.raises(RequirementsFailed) as refused:
        default_index()

    assert "hunter2" not in refused.value.message
    assert "sandbox_index" in refused.value.hint


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        ("https://packages.example/simple/", "https://packages.example"),
        ("http://packages.example:8080/simple", "http://packages.example:8080"),
    ],
)
def test_its_own_host_is_what_a_build_may_reach(url: str, pattern: str) -> None:
    assert origin_of(url) == pattern
