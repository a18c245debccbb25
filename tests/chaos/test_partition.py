"""A worker that is cut off from PostgreSQL for longer than its lease: both sides go on, one of them wins."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from budflow.model.execution import ClaimLost
from tests.chaos.partition import Divided, open_divided
from tests.chaos.partition_on_ray import open_divided_on_ray
from tests.crash.ledger import Effect
from tests.crash.orders import Order, events_of, statuses
from tests.crash.shape import SHAPES
from tests.crash.verdict import judge
from tests.processes import eventually
from tests.rows import fetch
from tests.servers import CannotStart

pytestmark = [pytest.mark.process, pytest.mark.postgres]

CHAIN = SHAPES["chain"]
LEASE_SECONDS = 1.5
#: A command whose answer was lost with the link is given up after COMMAND_SECONDS, 60.
GIVEN_UP_SECONDS = 120.0


@pytest.fixture(
    params=["workers", pytest.param("actors", marks=[pytest.mark.ray, pytest.mark.xdist_group("own_ray")])],
)
def divided(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Iterator[Divided]:
    try:
        if request.param == "workers":
            opening = open_divided(tmp_path, postgres_url, lease_seconds=LEASE_SECONDS)
        else:
            s3_url = request.getfixturevalue("s3_url")
            opening = open_divided_on_ray(tmp_path, postgres_url, s3_url, lease_seconds=LEASE_SECONDS)
        with opening as divided:
            yield divided
    except CannotStart as error:
        pytest.skip(str(error))


def test_of_two_sides_one_wins_and_nothing_is_written_twice(divided: Divided) -> None:
    [main], ledger = divided.mains, divided.ledger
    sides = (divided.near, divided.far)
    orders = send_until(divided, hold="reserve", held=lambda: all(held_by(divided, one) for one in sides))
    reserved = {Effect(order.id, "reserve", "") for order in orders}
    eventually(lambda: reserved <= ledger.effects().keys(), "every first effect is under way")
    taken = held_by(divided, divided.far)
    far = [order for order in orders if order.execution_id in taken]

    divided.side.inside.cut()
    eventually(lambda: taken <= held_by(divided, divided.near), "the near side takes them over")
    ledger.release("reserve")  # Both sides have their answers now, and the far one cannot say so.
    eventually(lambda: {*statuses(main, orders).values()} == {"succeeded"}, "the near side ends them all")
    assert given_up(divided, ClaimLost().message) == set(), "the far side does not know yet"
    divided.side.inside.heal()
    try:
        eventually(
            lambda: taken <= given_up(divided), "the far side gives all up that is not its own", GIVEN_UP_SECONDS
        )
    except AssertionError as error:
        error.add_note(f"It had {taken}, and said:\n{divided.far_log()}")
        raise

    assert judge(main, ledger, orders, [], 20, "divided").findings == []
    for order in orders:
        journal = events_of(main, str(order.execution_id))
        assert max(Counter((event.type, event.data.get("node")) for event in journal if ends(event.type)).values()) == 1
    effects = ledger.effects()
    assert {effects[Effect(order.id, "pay", "")].count for order in orders} == {1}
    assert min(effects[Effect(order.id, "reserve", "")].count for order in far) >= 2

    divided.wait_until_ready()
    late = send_until(divided, hold="pay", held=lambda: held_by(divided, divided.far))
    ledger.release("pay")
    assert judge(main, ledger, late, [], 20, "healed").findings == []


def send_until(divided: Divided, *, hold: str, held: Callable[[], object]) -> list[Order]:
    """Send one order after the other, whose node `hold` waits, until they are held as they should be."""
    orders: list[Order] = []

    def send() -> bool:
        orders.append(divided.orders.send(divided.mains[0], CHAIN, hold=[hold]))
        divided.orders.acknowledge(divided.mains[0], orders, 20)
        return bool(held())

    eventually(send, "they are held as they should be")
    return orders


def ends(kind: str) -> bool:
    return kind in ("node.finished", "execution.finished")


def held_by(divided: Divided, runner: str) -> set[str]:
    return {row[0] for row in fetch(divided.database_url, "SELECT id FROM executions WHERE runner = $1", runner)}


def given_up(divided: Divided, why: str = "") -> set[str]:
    """The executions that the far worker let go for this reason: mostly since a late write was refused, but it may have
    waited too long for the database before.
    """
    lines = [line for line in divided.far_log().splitlines() if "execution.let_go" in line and why in line]
    return {found for line in lines for found in re.findall(r"exe_[0-9a-f]+", line)}
