"""What a workflow's `journal` setting keeps: asked by who writes a journal, and by who tells what one is silent of."""

from budflow.graph.plan import Plan


def is_kept(plan: Plan, number: int) -> bool:
    """Whether the end of this node, if it ran, is in the journal of every execution that succeeded.

    What may have an effect is kept, and so is what starts bodies, with all that happened in them.
    """
    depth = plan.settings.journal
    node = plan.nodes[number]
    only_computes = node.weight != "control" and (node.node.effect or node.spec.effect) == "pure"
    if depth == "every_node" or number in plan.sinks or not only_computes:
        return True
    if plan.graphs[node.graph].container is not None:
        return True
    return depth == "segment" and plan.segments[plan.segment_of[number]].nodes[-1] == number
