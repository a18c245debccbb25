"""How nodes of one frame settle: by what their edges bring, and by what is skipped before them."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from budflow.execution.state import Frame, Tally
from budflow.graph.plan import EXIT, Plan

#: The targets of one port, and how many items it gave: None where its node was skipped, so that the port is dead.
Delivery = tuple[Sequence[int], int | None]


class Settled(NamedTuple):
    """The frame afterwards, the nodes that are ready, and those that nothing will reach."""

    frame: Frame
    ready: list[int]
    skipped: list[int]


def settle(plan: Plan, frame: Frame, deliveries: Iterable[Delivery], dead: Iterable[int] = ()) -> Settled:
    """Settle the edges of some ports, skip the nodes in `dead`, and whatever follows from that.

    Without recursion, since a chain may have 500 nodes.
    """
    tallies, out = dict(frame.tallies), frame.out
    ready: list[int] = []
    skipped: list[int] = []
    waiting = deque(dead)
    ports = deque(deliveries)
    while ports or waiting:
        if not ports:
            skipped.append(waiting.popleft())
            ports.extend((targets, None) for targets in plan.nodes[skipped[-1]].targets)
            continue
        targets, items = ports.popleft()
        for target in targets:
            if target == EXIT:
                out += items or 0
                continue
            node = plan.nodes[target]
            tally = tallies.get(target) or Tally(node.edges_in)
            tally = Tally(
                tally.open - 1,
                tally.delivered or (items is not None and items > 0),
                tally.empty or items == 0,
            )
            if tally.open:
                tallies[target] = tally
                continue
            tallies.pop(target, None)
            if tally.delivered or (tally.empty and (node.spec.run_on_empty or node.node.run_on_empty)):
                ready.append(target)
            else:
                waiting.append(target)
    # `_replace` would take three times as long, and this happens for every node.
    running = frame.running.union(ready) if ready else frame.running
    settled = Frame(frame.unsettled - len(skipped), tallies, running, out, frame.stopping, frame.failure)
    return Settled(settled, ready, skipped)
