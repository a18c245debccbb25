from datetime import timedelta

from budflow.execution.records import JournalWrite, Rest, TriggerKey
from budflow.model.execution import Claim, ClaimLost, KeyKnown, Limit, LimitReached
from budflow.model.failure import Failure
from budflow.storage.rows import DUE
from budflow.storage.settle import settle
from budflow.storage.writes import Admission, Head, Known, KnownKey, Write, ids_of
from tests.storage.journals import end, event, execution, signal, use, wait

CLAIM = Claim("exe_a", "r1", 3)


def head(status: str = "running", token: int = 3, next_seq: int = 1) -> Known:
    return Known({"exe_a": Head("default", status, token, next_seq)})


def test_a_write_is_decided_on_what_the_writes_before_it_do() -> None:
    writes = [end(CLAIM), JournalWrite(CLAIM, (event(2),))]

    settled = settle(writes, head())

    assert settled.outcomes[0] is None
    assert isinstance(settled.outcomes[1], ClaimLost)
    assert [stored.seq for _, _, stored in settled.events] == [1]


def test_an_execution_can_be_admitted_and_advanced_in_one_group() -> None:
    new = execution(id="exe_a")
    writes: list[Write] = [JournalWrite(CLAIM, (event(0),), admission=new), end(CLAIM)]

    settled = settle(writes, Known())

    assert settled.outcomes == [None, None]
    assert [row.status for row in settled.inserted] == ["running"]
    assert settled.changed["exe_a"].status == "succeeded"


def test_the_changes_of_one_execution_become_one() -> None:
    started, finished = event(1, "execution.started"), event(2, "execution.finished")
    failure = Failure("a.b", "No.")

    settled = settle(
        [JournalWrite(CLAIM, (started,)), JournalWrite(CLAIM, (finished,), status="failed", failure=failure)], head()
    )

    change = settled.changed["exe_a"]
    assert (change.status, change.failure, change.started_at) == ("failed", failure, started.at)
    assert change.finished_at == finished.at


def test_a_write_that_only_adds_events_leaves_the_row_alone() -> None:
    assert settle([JournalWrite(CLAIM, (event(1),))], head()).changed == {}


def test_every_execution_of_a_group_is_named() -> None:
    child, queued = execution(), execution()
    write = JournalWrite(CLAIM, (), children=((child, ()),), signals=(signal("exe_b"),))

    ids = ids_of([write, Admission(queued, ())])

    assert list(ids) == ["exe_a", child.id, "exe_b", queued.id]


def test_a_claim_ends_with_the_rest() -> None:
    rest = JournalWrite(CLAIM, (event(1),), rest=Rest("timer", None))

    settled = settle([rest, JournalWrite(CLAIM, (event(2),))], head())

    assert isinstance(settled.outcomes[1], ClaimLost)
    assert settled.attachments.rested == {"exe_a": Rest("timer", None)}


def test_a_rest_is_over_at_once_when_an_earlier_write_of_the_group_signalled() -> None:
    known = head()
    known.heads["exe_b"] = Head("default", "running", 1, 1)
    sender = JournalWrite(Claim("exe_b", "r1", 1), (event(1),), signals=(signal("exe_a"),))

    settled = settle([sender, JournalWrite(CLAIM, (event(1),), rest=Rest("approval", None))], known)

    assert settled.attachments.rested["exe_a"].wake_at == DUE


def test_a_signal_for_what_rests_in_the_group_wakes_it() -> None:
    known = head()
    known.heads["exe_b"] = Head("default", "running", 1, 1)
    sender = JournalWrite(Claim("exe_b", "r1", 1), (event(1),), signals=(signal("exe_a"),))

    settled = settle([JournalWrite(CLAIM, (event(1),), rest=Rest("approval", None)), sender], known)

    assert settled.attachments.due == {"exe_a"}


def test_what_comes_and_goes_within_a_group_is_never_stored() -> None:
    known = head()
    known.heads["exe_b"] = Head("default", "running", 1, 1)
    opens = JournalWrite(CLAIM, (event(1),), opened=(wait(CLAIM),))
    sender = JournalWrite(Claim("exe_b", "r1", 1), (event(1),), signals=(signal("exe_a"),))

    settled = settle([opens, sender, end(CLAIM, seq=2), sender], known)

    assert (settled.attachments.opened, settled.attachments.signals) == ({}, {})
    assert settled.attachments.cleared == set()


def test_only_what_has_attachments_is_cleared_at_its_end() -> None:
    known = Known({"exe_a": Head("default", "running", 3, 1, attached=True)})

    assert settle([end(CLAIM)], known).attachments.cleared == {"exe_a"}


def test_a_key_is_known_to_the_writes_behind_it() -> None:
    first, second = execution(), execution()
    key = TriggerKey("default", "order-1", "f1")

    settled = settle([Admission(first, (event(0),), key), Admission(second, (event(0),), key)], Known())

    refused = settled.outcomes[1]
    assert isinstance(refused, KeyKnown)
    assert refused.details == {"execution_id": first.id}
    assert settled.inserted == [first]


def test_a_key_that_ran_out_is_replaced() -> None:
    key = TriggerKey("default", "order-1", "f1")
    new = execution()
    stored = KnownKey("f0", "exe_old", new.created_at - timedelta(hours=24, microseconds=1))

    settled = settle([Admission(new, (event(0),), key)], Known(keys={("default", "order-1"): stored}))

    assert settled.outcomes == [None]
    assert settled.expired == {("default", "order-1"): stored}


def test_a_limit_counts_the_writes_before() -> None:
    first, second = (execution(limit=Limit("wf_a", 1, "drop")) for _ in range(2))

    settled = settle([Admission(first, (event(0),)), Admission(second, (event(0),))], Known())

    assert isinstance(settled.outcomes[1], LimitReached)


def test_what_was_displaced_makes_room_once() -> None:
    first, second, third = (execution(limit=Limit("wf_a", 1, "cancel_oldest")) for _ in range(3))

    settled = settle([Admission(new, (event(0),)) for new in (first, second, third)], Known())

    assert {id_: change.status for id_, change in settled.changed.items()} == {
        first.id: "cancelled",
        second.id: "cancelled",
    }


def test_uses_are_kept_of_the_writes_that_are_let_in() -> None:
    lost = Claim("exe_a", "r2", 2)
    uses = [use(claim, slot=slot) for claim, slot in ((CLAIM, "a"), (lost, "b"), (CLAIM, "c"))]
    writes = [
        JournalWrite(CLAIM, (event(1),), uses=(uses[0],)),
        JournalWrite(lost, (event(2),), uses=(uses[1],)),
        JournalWrite(CLAIM, (event(2, "execution.finished"),), status="succeeded", uses=(uses[2],)),
    ]

    settled = settle(writes, head())

    assert settled.uses == [uses[0], uses[2]]
