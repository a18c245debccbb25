"""Header fields as authors may write them."""

import pytest

from budflow.nodes.http.headers import check_framing


def test_free_headers_pass_as_they_are() -> None:
    headers = {"X-Any": "1", "Host": "a.example", "Content-Type": "text/plain"}

    assert check_framing(headers) == headers


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "CONNECTION", "TE", "Upgrade"])
def test_what_the_connection_sets_is_refused_in_any_case(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        check_framing({name: "x"})
