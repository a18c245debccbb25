"""Resume links: what they say cannot be changed, and ends with its time."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from urllib.parse import quote

import pytest

from budflow.execution.records import OpenWait
from budflow.model.execution import Execution
from budflow.model.identity import utc_now
from budflow.services import resume_links
from budflow.services.resume_links import TOKEN_CHARS_MAX, LinkExpired, LinkInvalid, ResumeLinks

DAY = 86_400.0
LINKS = ResumeLinks(b"k" * 32, "https://flows.example/", 30 * DAY)
EXECUTION = Execution("exe_1", "default", "wf_1", 1, "api", "waiting", utc_now())


def wait(**different: object) -> OpenWait:
    ordinary = {"reason": "approval", "opened_at": utc_now(), "until": None, "ask": {}}
    return OpenWait("exe_1", "default", "wait:ask[3]:0", "ask[3]", **{**ordinary, **different})  # type: ignore[arg-type] # by name


def token_of(address: str | None) -> str:
    assert address is not None
    assert address == quote(address, safe=":/"), "it needs no quoting"
    return address.removeprefix("https://flows.example/resume/")


def test_a_link_says_what_it_was_made_for() -> None:
    of_execution = LINKS.read(token_of(LINKS.of_execution(EXECUTION)))
    of_wait = LINKS.read(token_of(LINKS.of_wait(wait())))

    assert (of_execution.project_id, of_execution.execution_id, of_execution.node) == ("default", "exe_1", None)
    assert (of_wait.execution_id, of_wait.node) == ("exe_1", "ask[3]")


def test_a_link_stays_the_same_for_a_while_and_never_lives_longer_than_the_setting() -> None:
    for days_ago in (0, 2, 29, 400):
        execution = Execution("exe_1", "default", "wf_1", 1, "api", "waiting", utc_now() - timedelta(days=days_ago))
        address = LINKS.of_execution(execution)

        assert address == LINKS.of_execution(execution)
        left = LINKS.read(token_of(address)).expires_at - utc_now()
        assert timedelta(days=27) - timedelta(minutes=1) < left <= timedelta(days=30)


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "a.b", "ä.ö", "a" * (TOKEN_CHARS_MAX + 1), "a" * 10),
        urlsafe_b64encode(b'[1,"default","exe_1","",9999999999999]').decode() + "." + "A" * 43,
    ],
)
def test_what_was_not_made_here_is_refused(token: str) -> None:
    with pytest.raises(LinkInvalid):
        LINKS.read(token)


def test_a_changed_link_and_another_servers_are_refused() -> None:
    token = token_of(LINKS.of_wait(wait()))
    said, _, mac = token.partition(".")

    for forged in (f"{said[:-2]}AA.{mac}", f"{said}.{mac[:-2]}AA", f"{said}.", said):
        with pytest.raises(LinkInvalid):
            LINKS.read(forged)
    with pytest.raises(LinkInvalid):
        ResumeLinks(b"x" * 32, None, DAY).read(token)


def test_an_expired_link_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    token = token_of(LINKS.of_wait(wait()))
    later = utc_now() + timedelta(days=30)
    monkeypatch.setattr(resume_links, "utc_now", lambda: later)

    with pytest.raises(LinkExpired):
        LINKS.read(token)


def test_there_is_no_link_without_an_address_or_for_what_links_may_not_answer() -> None:
    assert ResumeLinks(b"k" * 32, None, DAY).of_execution(EXECUTION) is None
    assert [LINKS.of_wait(wait(reason=reason)) for reason in ("timer", "limit", "ask")] == [None] * 3
