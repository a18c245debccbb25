"""Test runs show every round of their loops, also of bodies that only compute and otherwise run in one go."""

from typing import Any

import pytest

from budflow.model import event as e
from tests.execution.simulated_world import PLAINLY, Asked
from tests.execution.story import SET, Story, body, document, told

EACH: dict[str, Any] = {"type": "flow.for_each", "bodies": {"body": body("set", SET)}}


@pytest.mark.parametrize(
    ("asked", "rounds"),
    [
        (PLAINLY, []),  # Its rounds are one event.
        (Asked(until="set"), [(0,), (1,), (2,)]),
        (Asked(until="each"), [(0,), (1,), (2,)]),
        (Asked(pinned=True), [(0,), (1,), (2,)]),
    ],
)
def test_in_a_test_run_every_round_of_a_body_has_its_own_events(asked: Asked, rounds: list[tuple[int, ...]]) -> None:
    @told
    async def tell(story: Story) -> None:
        await story.begin(document("each", EACH))
        await story.submit([{"n": 1}, {"n": 2}, {"n": 3}], asked)
        await story.quiet()

        assert (await story.row()).status == "succeeded"
        finished = [event for event in await story.all(e.NodeFinished) if event.node == "set"]
        assert [event.rounds for event in finished] == rounds
        assert all(len(event.outputs["main"]) == 1 for event in finished)

    tell()
