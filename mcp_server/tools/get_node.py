"""get_node: all that an agent must know of a node type to write it into a document."""

from budflow.services.get_node import get_node
from mcp_server.tool import Tool

TOOL = Tool.of(
    get_node,
    title="Read a node type",
    description=(
        "Read one node type: the JSON Schema of its params, its input and output ports, and examples that are known "
        "to work. Read it before you write a node of this type."
    ),
    read_only=True,
    cut=("examples",),
)
