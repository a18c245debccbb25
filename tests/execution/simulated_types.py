"""The node types of simulated worlds: the library's, and one that counts in static data."""

from budflow.model.failure import NodeError
from budflow.model.node import Batch, Outputs, Params, node
from budflow.nodes.registry import Registry, build


class TallyParams(Params):
    """At which number it fails."""

    fails_at: int | None = None


class TallyFailed(NodeError):
    """The number came at which it is to fail."""

    code = "sim.tally_failed"


@node("sim.tally", kind="list", params=TallyParams, static=True, examples=())
def tally(batch: Batch[TallyParams]) -> Outputs:
    """Count runs and items in static data, and pass the items on; where it fails, it has counted before that."""
    for data in (batch.static.node, batch.static.workflow):
        data["runs"] = data.get("runs", 0) + 1
        data["items"] = data.get("items", 0) + len(batch.items)
    if any(item.json.get("n") == batch.params.fails_at for item in batch.items if batch.params.fails_at is not None):
        raise TallyFailed
    outputs = Outputs()
    for index in range(len(batch.items)):
        outputs.pass_on("main", index)
    return outputs


TYPES = Registry([*build().types(), tally])
