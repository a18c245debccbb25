"""Fault points: the right write meets the fault, once, and no other."""

from pathlib import Path

import pytest

from budflow.storage.errors import StorageUnavailable
from tests.crash.fault import Detonator, Fault, Moment, arm


class Watched:
    """A store that remembers what it was asked for."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def claim(self, runner: str) -> list[str]:
        """Every runner but nobody gets one."""
        self.done.append(runner)
        return [] if runner == "nobody" else ["execution"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fault"


@pytest.fixture
def store(file: Path) -> Watched:
    class Wrapped(Watched):
        pass

    Detonator(file).wrap(Wrapped)
    return Wrapped()


def test_a_fault_is_read_as_it_is_written() -> None:
    fault = Fault("node.finished", 3, "before")

    assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize(("moment", "done"), [("refused", ["a"]), ("unheard", ["a", "b"])])
async def test_the_write_with_the_number_meets_the_fault(
    store: Watched, file: Path, moment: Moment, done: list[str]
) -> None:
    arm(file, Fault("store.claim", 2, moment))

    await store.claim("a")
    with pytest.raises(StorageUnavailable):
        await store.claim("b")
    assert store.done == done

    await store.claim("c")  # It came to pass, once.
    assert store.done == [*done, "c"]


async def test_a_claim_that_found_nothing_wrote_nothing(store: Watched, file: Path) -> None:
    arm(file, Fault("store.claim", 1, "unheard"))

    await store.claim("nobody")
    with pytest.raises(StorageUnavailable):
        await store.claim("somebody")


async def test_other_writes_meet_nothing(store: Watched, file: Path) -> None:
    arm(file, Fault("node.finished", 1, "refused"))

    assert await store.claim("a") == ["execution"]
