"""Duties side by side, in a time that jumps."""

import asyncio

import pytest

from budflow.scaling.perform_duties import perform_duties
from budflow.services.leader_only import Duty
from budflow.services.leader_ports import Leading
from budflow.services.use_case import Services
from budflow.storage.errors import StorageUnavailable
from tests.execution.simulated_loop import simulate
from tests.services.duties.duty import FakeTerm, services


def time() -> float:
    return asyncio.get_running_loop().time()


class Scripted:
    """A duty that fails each time after some seconds, as long as the script goes; `begun` says when it was begun."""

    def __init__(self, *script: tuple[float, Exception]) -> None:
        self.script, self.begun = list(script), list[float]()

    def duty(self, name: str = "scripted") -> Duty:
        return Duty(name, self.run)

    async def run(self, _services: Services, leading: Leading) -> None:
        self.begun.append(time())
        if self.script:
            seconds, error = self.script.pop(0)
            await asyncio.sleep(seconds)
            leading.require()
            raise error
        await asyncio.Event().wait()


def perform(seconds: float, *scripted: Scripted, term: FakeTerm | None = None) -> None:
    async def life() -> None:
        duties = [one.duty(f"duty_{number}") for number, one in enumerate(scripted)]
        task = asyncio.create_task(perform_duties(duties, services(), term or FakeTerm()))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    simulate(life())


def test_a_duty_that_fails_is_begun_again_after_ever_longer_pauses(caplog: pytest.LogCaptureFixture) -> None:
    flaky = Scripted(*[(0.0, StorageUnavailable())] * 9)

    perform(1_000, flaky)

    pauses = [later - earlier for earlier, later in zip(flaky.begun, flaky.begun[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert len(caplog.records) == 9


def test_after_it_did_well_for_a_while_the_pauses_begin_anew() -> None:
    flaky = Scripted((0.0, StorageUnavailable()), (0.0, StorageUnavailable()), (100.0, OSError()))

    perform(1_000, flaky)

    assert flaky.begun == [0, 1, 3, 104]


def test_a_duty_that_fails_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    faulty, sound = Scripted((1.0, ValueError("a fault"))), Scripted()

    perform(100, faulty, sound)

    assert faulty.begun == [0, 2]
    assert sound.begun == [0]
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None


def test_when_the_term_is_over_nothing_is_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    term, duty = FakeTerm(), Scripted((1.0, StorageUnavailable()))
    term.leads = True

    async def life() -> None:
        task = asyncio.create_task(perform_duties([duty.duty()], services(), term))
        await asyncio.sleep(0.5)
        term.leads = False
        await task

    simulate(life())

    assert duty.begun == [0]
    assert not caplog.records
