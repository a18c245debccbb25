"""Where frames belong: the run of the container that a body's frame is a part of, and the round that it is."""

from budflow.execution.node_result import ResultMalformed
from budflow.execution.state import At, FrameId
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


def round_of(container: PlanNode, frame_id: FrameId) -> int:
    """Which round of its container a frame is; a body without a loop has only round 0."""
    return frame_id.rounds[-1] if container.spec.bodies.loops else 0
