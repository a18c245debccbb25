"""The process of a segment gets its credentials with every ticket once, sealed for it, and nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from budflow.execution.hand_over import (
    NO_HAND_OVER,
    Giving,
    HandOverMissing,
    NotHandedOver,
    PutQuestion,
    Taking,
    TicketRefused,
    ask_nobody,
)
from budflow.execution.node_result import NodeRun
from budflow.expressions.evaluate import Scope
from budflow.model.credential import CredentialRefused
from budflow.model.credential_kind import CredentialKind, OpenCredential
from budflow.model.failure import Failure
from budflow.model.identity import utc_now
from tests.execution.fake_hand_over import FakeHandOver, WrongBox
from tests.execution.fakes import FakeHttp, plan_of


def credential(name: str) -> OpenCredential:
    return OpenCredential(f"crd_{name}", name, "none", CredentialKind(), ("*",))


def run_with(**credentials: OpenCredential) -> NodeRun:
    _, plan = plan_of({"start": {"type": "trigger.manual"}}, [])
    run = NodeRun(
        node=plan.nodes[0],
        items=[],
        ports={},
        scope=lambda ordinal: Scope({}, 0, {}),
        now=utc_now(),
        effect_scope="exe_1",
        http=FakeHttp(),
        on_retry=lambda *told: None,
    )
    run.give(credentials)
    return run


def answering(giving: Giving) -> PutQuestion:
    """Questions answered in another loop, as a process that asks blocks."""

    def ask(question: bytes) -> bytes:
        coroutine = giving.answer(question)
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        answer: bytes = stopped.value.value
        return answer

    return ask


def question(ticket: str, *slots: str) -> bytes:
    return orjson.dumps({"ticket": ticket, "keys": dict.fromkeys(slots, "00")})


async def test_a_segment_gets_every_credential_that_it_was_packed_with() -> None:
    auth, signing = credential("crm"), credential("hmac")
    hand_over, there = FakeHandOver(), run_with()
    giving = Giving(run_with(auth=auth, signing=signing), hand_over)

    await Taking(giving.ticket, ["auth", "signing"], hand_over, answering(giving)).give(there)

    assert there.credentials == {"auth": auth, "signing": signing}
    assert there.redaction is not None


async def test_a_ticket_is_good_for_one_question() -> None:
    hand_over = FakeHandOver()
    giving = Giving(run_with(auth=credential("crm")), hand_over)
    first = giving.ticket
    answer = orjson.loads(await giving.answer(question(first, "auth")))

    with pytest.raises(TicketRefused):
        await giving.answer(question(first, "auth"))

    assert hand_over.sealed == 1
    assert answer["ticket"] == giving.ticket != first


@pytest.mark.parametrize("ticket", ["", "another"])
async def test_who_has_no_ticket_gets_nothing_and_takes_nothing_from_who_has(ticket: str) -> None:
    hand_over = FakeHandOver()
    giving = Giving(run_with(auth=credential("crm")), hand_over)

    with pytest.raises(TicketRefused):
        await giving.answer(question(ticket, "auth"))

    assert hand_over.sealed == 0
    await giving.answer(question(giving.ticket, "auth"))


async def test_a_slot_that_the_node_does_not_have_is_refused() -> None:
    hand_over = FakeHandOver()
    giving = Giving(run_with(auth=credential("crm")), hand_over)

    with pytest.raises(TicketRefused):
        await giving.answer(question(giving.ticket, "auth", "signing"))

    assert hand_over.sealed == 0


async def test_what_was_sealed_with_another_ticket_does_not_open() -> None:
    hand_over, there = FakeHandOver(), run_with()
    giving = Giving(run_with(auth=credential("crm")), hand_over)
    ask = answering(giving)

    def swapped(asked: bytes) -> bytes:
        return ask(orjson.dumps({**orjson.loads(asked), "ticket": giving.ticket}))

    with pytest.raises(WrongBox):
        await Taking("another", ["auth"], hand_over, swapped).give(there)

    assert there.credentials == {}


def reopening(run: NodeRun, reopened: Callable[[], Any]) -> None:
    async def reopen() -> None:
        run.give({"auth": reopened()})

    run.reopen = reopen


async def test_before_a_further_try_the_credentials_are_opened_anew() -> None:
    before, after = credential("before"), credential("after")
    hand_over, here, there = FakeHandOver(), run_with(auth=before), run_with()
    reopening(here, lambda: after)
    giving = Giving(here, hand_over)

    async def ask_in_thread() -> None:
        taking = Taking(giving.ticket, ["auth"], hand_over, ask)
        await taking.give(there)
        assert there.credentials == {"auth": before}  # What is open already is not opened a second time.
        await taking.give(there)

    loop = asyncio.get_running_loop()

    def ask(asked: bytes) -> bytes:
        return asyncio.run_coroutine_threadsafe(giving.answer(asked), loop).result(10)

    await asyncio.to_thread(asyncio.run, ask_in_thread())

    assert there.credentials == {"auth": after}


async def test_a_credential_that_was_taken_away_meanwhile_fails_the_further_try_with_its_code() -> None:
    def refuse() -> None:
        raise CredentialRefused("taken away")

    hand_over, here = FakeHandOver(), run_with(auth=credential("crm"))
    reopening(here, refuse)
    giving = Giving(here, hand_over)
    await giving.answer(question(giving.ticket, "auth"))

    answer = await giving.answer(question(giving.ticket, "auth"))

    with pytest.raises(NotHandedOver) as raised:
        await Taking("ticket", ["auth"], hand_over, lambda _: answer).give(run_with())
    assert Failure.of(raised.value) == Failure.of(CredentialRefused("taken away"))
    assert hand_over.sealed == 1


async def test_nothing_is_given_to_a_node_that_has_ended() -> None:
    giving = Giving(run_with(auth=credential("crm")), FakeHandOver())
    giving.end()

    with pytest.raises(TicketRefused):
        await giving.answer(question(giving.ticket, "auth"))


async def test_the_end_of_a_node_stops_what_is_opened_for_it() -> None:
    never = asyncio.Event()
    here = run_with(auth=credential("crm"))

    async def reopen() -> None:
        await never.wait()

    here.reopen = reopen
    giving = Giving(here, FakeHandOver())
    await giving.answer(question(giving.ticket, "auth"))
    answer = asyncio.ensure_future(giving.answer(question(giving.ticket, "auth")))
    await asyncio.sleep(0)

    giving.end()

    with pytest.raises(TicketRefused):
        await answer


async def test_without_a_hand_over_nothing_is_sealed_or_taken() -> None:
    giving = Giving(run_with(auth=credential("crm")), NO_HAND_OVER)

    with pytest.raises(HandOverMissing):
        await giving.answer(question(giving.ticket, "auth"))
    with pytest.raises(HandOverMissing):
        await Taking("ticket", ["auth"], NO_HAND_OVER, ask_nobody).give(run_with())
    with pytest.raises(HandOverMissing):
        await Taking("ticket", ["auth"], FakeHandOver(), ask_nobody).give(run_with())
