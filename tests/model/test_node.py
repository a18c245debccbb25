"""Declaring a node type: what is refused."""

import pytest

from budflow.model.failure import NodeError
from budflow.model.node import Batch, NodeSpec, Outputs, Params, node


def test_only_a_heavy_type_names_a_runtime_environment() -> None:
    def call(batch: Batch[Params]) -> Outputs:
        """Do nothing."""
        return Outputs()

    def declared(*, heavy: bool) -> NodeSpec:
        return node("acme.rank", kind="list", params=Params, examples=[], heavy=heavy, runtime_env="ml")(call)

    assert declared(heavy=True).runtime_env == "ml"
    with pytest.raises(NodeError, match="only heavy ones"):
        declared(heavy=False)
