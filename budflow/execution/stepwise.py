"""The plan of a test run: who tries a part out wants to see every round of it, so that none is fused with others."""

from dataclasses import replace

from budflow.graph.plan import Plan
from budflow.model.event import Admitted


def plan_of_run(plan: Plan, admitted: Admitted | None) -> Plan:
    """What an execution runs by that began so: in one with pinned data or up to a node, no body runs in one go.

    Whoever folds its journal must do so by the same plan.
    """
    if admitted is None or not admitted.is_test or not any(graph.light for graph in plan.graphs):
        return plan
    return replace(plan, graphs=tuple(replace(graph, light=False) for graph in plan.graphs))
