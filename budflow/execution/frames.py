"""Where frames belong: the run of the container that a body's frame is a part of, and the round that it is."""

from collections.abc import Iterator, Mapping

from budflow.execution.node_result import ResultMalformed
from budflow.execution.state import At, Control, Frame, FrameId
from budflow.graph.plan import Plan, PlanNode


def frame_of(node: PlanNode, at: At, body: str, number: int) -> FrameId:
    """The frame of round `number` of a container's body. Raises ResultMalformed where it has no such body."""
    if body not in node.bodies:
        raise ResultMalformed(f"`{node.spec.name}` has no body `{body}`.")
    return FrameId(node.bodies[body], (*at.rounds, number) if node.spec.bodies.loops else at.rounds)


def container_of(plan: Plan, frame_id: FrameId) -> At | None:
    """The run of the container that a frame is a part of; None for the workflow's own graph."""
    number = plan.graphs[frame_id.graph].container
    return None if number is None else At(number, frame_id.rounds[: plan.nodes[number].depth])


def around(plan: Plan, at: At) -> Iterator[tuple[At, FrameId]]:
    """The containers around a run of a node, the innermost first, and the run of their body that it stands in."""
    graph, rounds = plan.graphs[plan.nodes[at.node].graph], at.rounds
    while graph.container is not None:
        container, frame = plan.nodes[graph.container], FrameId(graph.number, rounds)
        rounds = rounds[: container.depth]
        yield At(container.index, rounds), frame
        graph = plan.graphs[container.graph]


def is_inside(plan: Plan, at: At, frame_id: FrameId) -> bool:
    """Whether a run of a node is a part of this frame, or of one in it."""
    return any(frame == frame_id for _, frame in around(plan, at))


def tidies_up(plan: Plan, controls: Mapping[At, Control], at: At) -> bool:
    """Whether a node is part of the last body of one that is being stopped: no pause holds up a `finally`."""
    found = (controls.get(container) for container, _ in around(plan, at))
    return any(control is not None and control.stop is not None for control in found)


def open_bodies(container: PlanNode, at: At, frames: Mapping[FrameId, Frame]) -> list[FrameId]:
    """The frames that are open of one run of a container."""
    graphs, depth = container.bodies.values(), len(at.rounds)
    if container.spec.bodies.loops:
        return [one for one in frames if one.graph in graphs and one.rounds[:depth] == at.rounds]
    # Known without looking at those of ten thousand others.
    return [one for graph in graphs if (one := FrameId(graph, at.rounds)) in frames]


def round_of(container: PlanNode, frame_id: FrameId) -> int:
    """Which round of its container a frame is; a body without a loop has only round 0."""
    return frame_id.rounds[-1] if container.spec.bodies.loops else 0
