"""The ports of a node in a workflow: those of its type with these parameters, and `error` where it was asked for."""

from budflow.model.node import ERROR_PORT, NodeSpec
from budflow.model.workflow import Node


def input_ports(node: Node, spec: NodeSpec) -> tuple[str, ...]:
    """The ports that edges may lead to; none of a trigger."""
    return spec.input_ports(node.params)


def output_ports(node: Node, spec: NodeSpec) -> tuple[str, ...]:
    """The ports that edges may come from."""
    ports = spec.output_ports(node.params)
    return (*ports, ERROR_PORT) if node.on_error == "error_output" else ports
