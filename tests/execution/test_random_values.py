"""What expressions draw derives from the execution, the node and the item, in whichever process it runs."""

from datetime import UTC, datetime

from budflow.execution.segment_names import unpack_names
from budflow.expressions.compile import compile_template
from budflow.model.item import Item
from tests.execution.fakes import run_to_end

DRAWN = {"type": "data.set", "params": {"values": {"id": "{{ uuid() }}", "other": "{{ uuid() }}"}}}


async def test_every_item_node_and_value_draws_its_own() -> None:
    nodes = {"start": {"type": "trigger.manual"}, "a": DRAWN, "b": DRAWN}
    link = await run_to_end(nodes, ["start > a", "start > b"], [{}, {}])

    drawn = [item[name] for node in ("a", "b") for item in link.output(node) for name in ("id", "other")]

    assert len(set(drawn)) == 8


async def test_every_round_of_a_loop_draws_its_own() -> None:
    body = {"nodes": {"draw": DRAWN}, "edges": [{"from": "$in", "to": "draw"}, {"from": "draw", "to": "$out"}]}
    each = {"type": "flow.for_each", "bodies": {"body": body}}
    link = await run_to_end({"start": {"type": "trigger.manual"}, "each": each}, ["start > each"], [{}, {}, {}])

    assert len({item["id"] for item in link.output("each")}) == 3


def test_where_a_run_is_packed_and_sent_its_values_are_those_of_its_path() -> None:
    def drawn(path: str) -> list[object]:
        shape = {
            "names": {},
            "run_index": 0,
            "read": {},
            "trigger": None,
            "timezone": "UTC",
            "effect_scope": "exe_1",
            "path": path,
        }
        scope = unpack_names(shape, frozenset(), [Item({}), Item({})], datetime(2030, 1, 1, tzinfo=UTC))
        return [compile_template("{{ uuid() }}").evaluate(scope(ordinal)) for ordinal in (0, 1)]

    assert drawn("a") == drawn("a")
    assert len({*map(str, drawn("a")), *map(str, drawn("b"))}) == 4
