from budflow.execution.ports import JournalWrite
from budflow.model.execution import Claim, ClaimLost
from budflow.model.failure import Failure
from budflow.storage.settle import Admission, Head, Write, ids_of, settle
from tests.storage.journals import end, event, execution

CLAIM = Claim("exe_a", "r1", 3)


def head(status: str = "running", token: int = 3, next_seq: int = 1) -> dict[str, Head]:
    return {"exe_a": Head("default", status, token, next_seq)}


def test_a_write_is_decided_on_what_the_writes_before_it_do() -> None:
    writes = [end(CLAIM), JournalWrite(CLAIM, (event(2),))]

    settled = settle(writes, head())

    assert settled.outcomes[0] is None
    assert isinstance(settled.outcomes[1], ClaimLost)
    assert [stored.seq for _, _, stored in settled.events] == [1]


def test_an_execution_can_be_admitted_and_advanced_in_one_group() -> None:
    new = execution(id="exe_a")
    writes: list[Write] = [JournalWrite(CLAIM, (event(0),), admission=new), end(CLAIM)]

    settled = settle(writes, {})

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

    ids = ids_of([JournalWrite(CLAIM, (), children=((child, ()),)), Admission(queued, ())])

    assert list(ids) == ["exe_a", child.id, queued.id]
