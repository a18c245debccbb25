"""Schedules of the simulated core by the thousand: cases drawn by hypothesis, each run in several orders by seeds."""

import os
from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, Phase, given, note, settings, strategies as st

from tests.execution.simulated_classes import Histogram, shapes_of
from tests.execution.simulated_driver import ORDERS, Driver
from tests.execution.simulated_faults import FAULTS, run
from tests.execution.simulated_graphs import Case, cases

VARIABLE = "BUDFLOW_SIMULATION_SCHEDULES"
SCHEDULES = int(os.environ.get(VARIABLE, "2000"))
SCHEDULES_A_CASE = 4
#: The same cases in every run, so that a red one can be run again; a long campaign looks at new ones each time.
SETTINGS = settings(
    deadline=None,
    derandomize=VARIABLE not in os.environ,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def run_schedule(case: Case, seed: int) -> Driver:
    """One schedule, to the end; the seed decides order and faults."""
    random = Random(case.chance("schedule", seed))
    faults = random.sample(FAULTS, random.choice([0, 1, 2, 3, 4, len(FAULTS)]))
    driver = Driver(case, random.randrange, random.choice(ORDERS))
    run(driver, faults)
    return driver


def campaign(schedules: int, histogram: Histogram) -> None:
    """Run at least so many schedules. What fails is made small, and shown with its seed."""

    @settings(SETTINGS, max_examples=-(-schedules // SCHEDULES_A_CASE))
    @given(cases(), st.integers(0, 2**32))
    def run_case(case: Case, seed: int) -> None:
        for number in range(SCHEDULES_A_CASE):
            note(f"run_schedule(case, {seed + number})")
            driver = run_schedule(case, seed + number)
            histogram.add({*driver.seen, *shapes_of(case)}, len(driver.journal))

    run_case()


def some_cases(number: int) -> list[Case]:
    """The same cases every time."""
    found: list[Case] = []

    @settings(SETTINGS, max_examples=number, derandomize=True, phases=[Phase.generate])
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def noticed_after(found: list[Case], run: Callable[[Case, int], object], schedules: int) -> int | None:
    """After how many schedules something was noticed; None: all of them went well."""
    for number in range(schedules):
        try:
            run(found[number % len(found)], number)
        except Exception:  # noqa: BLE001 - a mutant may break anywhere, and in any way
            return number + 1
    return None
