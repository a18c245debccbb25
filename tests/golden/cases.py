"""Every workflow that comes to the same wherever it runs: the golden ones, the examples, and some for Ray alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from budflow.model import event as e
from budflow.model.item import Json
from tests.execution.office import Flow, Runnable
from tests.golden.shapes import HERE, events_of
from tests.test_examples import COMMITS, EXAMPLES, RUNS

SET = "data.set"
FAIL = {"type": "flow.stop_and_error", "params": {"message": "no"}}
CPU = {"resources": {"num_cpus": 1}}
#: Where workflows send their requests; the address of a server of the test is put in its place.
OUTSIDE = ("https://example.org", "https://example.com", "https://a.example", "http://127.0.0.1:8799")
#: Answers only when two requests are there at the same time.
MEET = "https://example.org/meet"


@dataclass(frozen=True)
class Stored:
    """A workflow that stands in a file."""

    shape: Mapping[str, Any]
    items: Sequence[Json]
    trigger: str = "start"
    callees: Mapping[str, Runnable] = field(default_factory=dict)

    def document(self, name: str) -> dict[str, Any]:
        return {**self.shape, "name": name}


@dataclass(frozen=True)
class Case:
    """A workflow and how it ends. `answer` is given to whatever waits for somebody, `meets` are nodes that run at the
    same time in two places.
    """

    flow: Runnable
    status: e.EndStatus = "succeeded"
    answer: Json | None = None
    meets: tuple[str, ...] = ()


def setting(**values: Any) -> dict[str, Any]:
    return {"type": SET, "params": {"values": values}}


def chain(length: int, items: list[dict[str, Any]]) -> Flow:
    nodes = {f"n{i}": setting(**{f"v{i}": "{{ $json.a + " + str(i) + " }}"}) for i in range(length)}
    return Flow(nodes, ["start > n0", *(f"n{i} > n{i + 1}" for i in range(length - 1))], items)


BRANCHES = Flow(
    {
        "check": {"type": "flow.if", "params": {"condition": "{{ $json.a > 1 }}"}},
        "yes": setting(b="{{ $node.start.json.a * 10 }}"),
        "no": setting(b=0),
        "join": {"type": "flow.merge"},
    },
    ["start > check", "check.true > yes", "check.false > no", "yes > join", "no > join"],
    [{"a": 1}, {"a": 2}, {"a": 3}],
)
CALLEE = Flow({"double": setting(a="{{ $json.a * 2 }}")}, ["start > double"])
CALLING = Flow(
    {"call": {"type": "flow.sub_workflow", "params": {"workflow": "wf_double"}}, "after": setting(seen=True)},
    ["start > call", "call > after"],
    [{"a": 1}, {"a": 2}],
    {"wf_double": CALLEE},
)
CALLING_A_FAILURE = Flow(
    {"call": {"type": "flow.sub_workflow", "params": {"workflow": "wf_failing"}}},
    ["start > call"],
    callees={"wf_failing": Flow({"fail": FAIL}, ["start > fail"])},
)
HEAVY = Flow(
    {
        "set": setting(b="{{ $json.a * 2 }}", tag="{{ $item_index }}"),
        "keep": {"type": "flow.filter", "params": {"condition": "{{ $json.a != 2 }}"}},
        "heavy": {
            **setting(
                c="{{ $node.set.json.tag }}/{{ $node.start.items.length() }}/{{ $execution.mode }}",
                b="{{ $now.year() }}",
            ),
            **CPU,
        },
        "sort": {"type": "data.sort", "params": {"by": [{"field": "a", "order": "desc"}]}, **CPU},
    },
    ["start > set", "set > keep", "keep.kept > heavy", "heavy > sort"],
    [{"a": 1}, {"a": 2}, {"a": 3}],
)


def with_failure(on_error: str, **more: Any) -> Flow:
    failing = {**setting(x="{{ 1 / $json.a }}"), "on_error": on_error, **more}
    port = "after > end" if on_error != "error_output" else "bad.error > end"
    nodes = {"bad": failing, "after": {"type": "flow.no_op"}, "end": {"type": "flow.no_op"}}
    return Flow(nodes, ["start > bad", "bad > after", port], [{"a": 1}, {"a": 0}])


def in_a_loop(node: Mapping[str, Any], port: str = "ask", **params: Any) -> dict[str, Any]:
    """A `flow.for_each` around one node."""
    edges = [{"from": "$in", "to": "ask"}, {"from": port, "to": "$out"}]
    return {"type": "flow.for_each", "params": params, "bodies": {"body": {"nodes": {"ask": node}, "edges": edges}}}


def asking(mode: str, **params: Any) -> dict[str, Any]:
    return {"type": "flow.wait", "params": {"mode": mode, "text": "Pay?", **params}}


MEETING = {"type": "http.request", "params": {"url": MEET}, **CPU}
APPROVED = {"approved": True, "comment": "well"}
LOUD = {"type": "flow.log", "params": {"message": "Item {{ $json.a }}", "level": "warning"}}

FLOWS = {
    "a chain": Case(chain(10, [{"a": 1}, {"a": 2}])),
    "branches and a join": Case(BRANCHES),
    "a called workflow": Case(CALLING),
    "a called workflow that fails": Case(CALLING_A_FAILURE, "failed"),
    "a failure that stops": Case(with_failure("stop"), "failed"),
    "a failure that passes on": Case(with_failure("continue")),
    "a failure that leaves by its own port": Case(with_failure("error_output")),
    "heavy nodes": Case(HEAVY),
    "a failing item of a heavy node": Case(with_failure("continue", **CPU)),
    "a heavy node that stops": Case(with_failure("stop", **CPU), "failed"),
    "heavy nodes side by side": Case(
        Flow({"left": MEETING, "right": MEETING}, ["start > left", "start > right"]), meets=("left", "right")
    ),
    "heavy nodes that log": Case(
        Flow({"light": LOUD, "heavy": {**LOUD, **CPU}}, ["start > light", "light > heavy"], [{"a": 1}, {"a": 2}])
    ),
    "heavy nodes in a loop": Case(
        Flow(
            {"each": in_a_loop({**setting(b="{{ $json.a * 2 }}"), **CPU}, concurrency=2)},
            ["start > each"],
            [{"a": number} for number in range(4)],
        )
    ),
    "an answer": Case(
        Flow({"answer": {"type": "http.respond", "params": {"body": "{{ $json }}"}}}, ["start > answer"])
    ),
    "an approval": Case(
        Flow(
            {"ask": asking("approval"), "pay": setting(by="{{ $json.answer.by }}")},
            ["start > ask", "ask.approved > pay"],
        ),
        answer=APPROVED,
    ),
    "a form": Case(
        Flow({"ask": asking("form", fields=[{"name": "amount", "type": "integer"}])}, ["start > ask"]),
        answer={"amount": 9},
    ),
    "approvals in a loop": Case(
        Flow({"each": in_a_loop(asking("approval"), "ask.approved", concurrency=3)}, ["start > each"], [{}, {}, {}]),
        answer=APPROVED,
    ),
}


def golden() -> Iterator[tuple[str, Case]]:
    """Those of this release, and of older ones those that this one has not."""
    for folder in sorted((HERE / "workflows").iterdir()):
        items = orjson.loads((folder / "items.json").read_bytes())
        yield folder.name, Case(Stored(_read(folder / "workflow.json"), items), _end(folder))
    for folder in sorted((HERE / "journals").glob("*/*")):
        if not (HERE / "workflows" / folder.name).exists():
            events = events_of(folder / "journal.jsonl")
            admitted, finished = events[0], events[-1]
            assert isinstance(admitted, e.Admitted)
            assert isinstance(finished, e.Finished)
            flow = Stored(_read(folder / "workflow.json"), admitted.items.to_json())
            yield folder.name, Case(flow, finished.status)


def examples() -> Iterator[tuple[str, Case]]:
    """What a newcomer tries first."""
    for name, run in RUNS.items():
        if run is not None:
            trigger, items, _ = run
            shape = _read(EXAMPLES / name)
            yield name, Case(Stored(shape, items, trigger or _manual(shape)))
    assess = Stored(_read(EXAMPLES / "github/assess_commits.json"), COMMITS, "called")
    push = {"path": "github/push", "method": "POST", "body": _read(EXAMPLES / "github/push.json")}
    review = Stored(_read(EXAMPLES / "github/review_push.json"), [push], "push", callees={"wf_assess_commits": assess})
    yield "github/review_push.json", Case(review)


def _read(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def _manual(shape: Mapping[str, Any]) -> str:
    manual: str = next(key for key, node in shape["nodes"].items() if node["type"] == "trigger.manual")
    return manual


def _end(folder: Path) -> e.EndStatus:
    last = (folder / "journal.jsonl").read_text().splitlines()[-1]
    status: e.EndStatus = orjson.loads(last)["status"]
    return status


CASES: Mapping[str, Case] = {**FLOWS, **dict(golden()), **dict(examples())}
