"""What goes wrong in the simulation of the pure core: cancels, pauses, time-outs, late events, crashes."""

from collections.abc import Sequence

from budflow.execution import state as s
from budflow.model import event as e
from budflow.model.failure import Failure
from tests.execution.simulated_driver import NOW, Driver, items_of
from tests.execution.simulated_nodes import FINALLY

SLOW = "last bodies too slow"
FAULTS = ("cancel", "pause", "time is up", SLOW, "event repeated", "late result", "crash")
STEPS_MAX = 5_000


def run(driver: Driver, faults: Sequence[str]) -> None:
    """From the admission to the end, with these faults in between."""
    driver.begin()
    for _ in range(STEPS_MAX):
        if driver.state.phase == "ended":
            break
        fault = fault_now(driver, faults)
        if fault is None or not misbehave(driver, fault):
            driver.work()
    driver.finish()


def fault_now(driver: Driver, faults: Sequence[str]) -> str | None:
    """The fault that happens before the next step, if any."""
    if not faults:
        return None
    tidy = [control for at, control in driver.state.controls.items() if FINALLY in driver.plan.nodes[at.node].bodies]
    if SLOW in faults and any(control.stop for control in tidy):
        return SLOW if driver.pick(2) else None
    stops = [fault for fault in ("cancel", "time is up") if fault in faults]
    if stops and any(_goes_on_to_finally(driver, at) for at in driver.state.controls) and driver.pick(4):
        return stops[driver.pick(len(stops))]
    often = 3 if any(control.frames for control in tidy) else 6  # What is to be tidied up is stopped more often.
    return faults[driver.pick(len(faults))] if driver.pick(often) == 0 else None


def _goes_on_to_finally(driver: Driver, at: s.At) -> bool:
    """Whether a `finally` runs because its body is over, and not because of a stop."""
    graph = driver.plan.nodes[at.node].bodies.get(FINALLY)
    running = graph is not None and s.FrameId(graph, at.rounds) in driver.state.frames
    return running and driver.state.controls[at].stop is None


def misbehave(driver: Driver, fault: str) -> bool:
    """Let something go wrong; False where there is nothing that it could happen to."""
    match fault:
        case "cancel":
            failure = Failure("execution.timed_out", "on purpose") if driver.pick(2) else None
            driver.feed(e.CancelRequested(NOW, "test", failure))
        case "pause":
            driver.feed(e.Continued(NOW, "test") if driver.state.paused else e.Paused(NOW, "test"))
        case "time is up" | "last bodies too slow":
            return _time_is_up(driver, cleanup=fault != "time is up")
        case "event repeated":
            return _repeat(driver)
        case "late result":
            return _late_result(driver)
        case "crash":
            return driver.crash()
    driver.seen.add(fault)
    return True


def _time_is_up(driver: Driver, *, cleanup: bool) -> bool:
    found = [at for at, control in driver.state.controls.items() if not cleanup or control.stop is not None]
    tidying = [at for at in found if FINALLY in driver.plan.nodes[at.node].bodies]
    if not found or (cleanup and not tidying):
        return False
    if tidying and (cleanup or driver.pick(4)):
        found = [at for at in tidying if _goes_on_to_finally(driver, at)] or tidying
    at = sorted(found)[driver.pick(len(found))]
    failure = Failure("node.timed_out", "on purpose", node=driver.key(at))
    driver.feed(e.TimeIsUp(NOW, driver.key(at), failure, cleanup=cleanup, rounds=at.rounds))
    driver.seen.add(SLOW if cleanup else "time is up")
    return True


def _repeat(driver: Driver) -> bool:
    """An event that was folded already comes again, and changes nothing."""
    event = driver.events[driver.pick(len(driver.events))]
    if isinstance(event, e.Paused | e.Continued | e.TimeIsUp | e.Finished):
        return False  # Said again, these are news.
    if isinstance(event, e.CancelRequested) and driver.state.frames[s.ROOT].stopping is False:
        return False
    before = driver.state
    driver.feed(event)
    assert driver.state == before, f"an event had an effect twice: {event}"
    driver.seen.add("event repeated")
    return True


def _late_result(driver: Driver) -> bool:
    """A result comes for a node that has ended, or an answer that nobody waits for any more."""
    every = [*driver.witness.frames.items(), *driver.witness.closed.items()]
    frame_id, frame = every[driver.pick(len(every))]
    numbers = sorted(frame.ended)
    if not numbers:
        return False
    node = driver.plan.nodes[numbers[driver.pick(len(numbers))]]
    late: tuple[e.Event, ...] = (
        e.NodeFinished(NOW, node.key, NOW, {port: items_of([1]) for port in node.output_names}, rounds=frame_id.rounds),
        e.NodeFailed(NOW, node.key, NOW, Failure("late", "late"), rounds=frame_id.rounds),
        e.WaitEnded(NOW, node.key, 0, "elapsed", rounds=frame_id.rounds),
        e.ChildFinished(NOW, node.key, 0, "succeeded", items_of([1]), rounds=frame_id.rounds),
        e.TimeIsUp(NOW, node.key, Failure("late", "late"), rounds=frame_id.rounds),
    )
    before = driver.state
    driver.feed(late[driver.pick(len(late))])
    assert driver.state == before, "a late event changed something"
    driver.seen.add("late result")
    return True
