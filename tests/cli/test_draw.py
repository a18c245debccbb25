"""What people see of executions: one place tells what happened where, how long it took and why it failed."""

from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console, Group, RenderableType

from budflow.cli.commands.status import _executor
from budflow.cli.draw import event_line, execution_page, execution_tree, moment, nodes_table, place_text, spent
from budflow.cli.report import block, facts, progress

AT = "2026-11-22T12:00:00.123456Z"


def shown(drawn: RenderableType) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(drawn)
    return capture.get()


def node(key: str, **changes: Any) -> dict[str, Any]:
    """A NodeView as JSON."""
    plain = {
        "key": key,
        "type": "flow.no_op",
        "status": "succeeded",
        "runs": 1,
        "duration_ms": 1.5,
        "tries": 1,
        "counts": {"main": 2, "error": 0},
        "segment": 0,
        "place": {"executor": "inprocess", "host": "here", "pid": 7},
        "children": [],
    }
    return {**plain, **changes}


def detail(execution_id: str, *nodes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An ExecutionDetailView as JSON."""
    plain = {
        "id": execution_id,
        "workflow_id": "wf_1",
        "version": 3,
        "mode": "cli",
        "status": "succeeded",
        "cancelling": False,
        "created_at": AT,
        "duration_ms": 2.0,
        "parent": None,
        "failure": None,
    }
    return {"execution": {**plain, **changes}, "nodes": list(nodes)}


def test_a_node_tells_its_items_its_time_and_its_place() -> None:
    drawn = shown(execution_tree(detail("exe_1", node("first"))))

    assert "segment 0 · inprocess pid 7\n    └── first flow.no_op  succeeded  [main 2]  1.5 ms" in drawn


def test_a_node_that_was_tried_again_says_so() -> None:
    assert "3 tries" in shown(execution_tree(detail("exe_1", node("first", tries=3))))


def test_a_node_that_did_not_run_has_neither_time_nor_place() -> None:
    skipped = node("first", status="skipped", duration_ms=None, place=None, counts={})

    [_, segment, line] = shown(execution_tree(detail("exe_1", skipped))).splitlines()

    assert segment.endswith("segment 0 · did not run")
    assert line.endswith("first flow.no_op  skipped")


def test_a_segment_tells_its_place_as_far_as_any_of_its_nodes_does() -> None:
    silent: dict[str, Any] = {"status": "unrecorded", "duration_ms": None, "place": None, "counts": {}}
    nodes = [node("first", **silent), node("second"), node("third", **silent, segment=1)]

    [_, kept, first, _, dropped, _] = shown(execution_tree(detail("exe_1", *nodes))).splitlines()

    assert kept.endswith("segment 0 · inprocess pid 7")
    assert first.endswith("first flow.no_op  unrecorded")
    assert dropped.endswith("segment 1 · not recorded")


def test_called_executions_stand_below_their_caller_where_they_are_known() -> None:
    caller = detail("exe_1", node("call", children=["exe_2", "exe_3"]))

    drawn = shown(execution_tree(caller, {"exe_2": detail("exe_2", node("inner"))}))

    assert "inner" in drawn
    assert "called exe_3" in drawn


def test_what_ran_in_a_body_stands_below_its_container() -> None:
    nodes = [
        node("each", type="flow.for_each"),
        node("after", segment=2),
        node("price", segment=1, container="each", body="body"),
        node("inner", segment=3, type="flow.try_catch", container="each", body="body"),
        node("tidy", segment=4, container="inner", body="finally"),
    ]

    lines = shown(execution_tree(detail("exe_1", *nodes))).splitlines()

    def column(word: str) -> int:
        return next(line.index(word) for line in lines if word in line)

    assert [line.split("── ")[-1].split()[0] for line in lines[1:]] == [
        *("segment", "each", "body", "segment", "price", "segment", "inner", "finally", "segment", "tidy"),
        *("segment", "after"),
    ]
    assert column("each") == column("after") < column("body") < column("price") == column("inner") < column("tidy")


def test_a_node_of_a_body_is_drawn_also_when_only_it_was_asked_for() -> None:
    drawn = shown(execution_tree(detail("exe_1", node("price", container="each", body="body"))))

    assert "price flow.no_op" in drawn


def test_the_nodes_of_a_document_stand_below_their_containers() -> None:
    body = {"nodes": {"price": {"type": "http.request", "notes": "[red]asks[/red]"}}, "edges": []}
    document = {"nodes": {"each": {"type": "flow.for_each", "bodies": {"body": body}}, "end": {"type": "flow.no_op"}}}

    lines = [line.rstrip() for line in shown(nodes_table(document)).splitlines() if line.strip()]

    [each, name, price, end] = lines[-4:]
    assert each.split() == ["each", "flow.for_each"]
    assert name.split() == ["body:"]
    assert price.split() == ["price", "http.request", "[red]asks[/red]"]
    assert end.split() == ["end", "flow.no_op"]
    assert each.index("each") == end.index("end") < name.index("body:") < price.index("price")


def test_a_node_in_a_loop_tells_how_often_it_ran_and_where_it_failed() -> None:
    price = node("price", container="each", body="body", runs=40, status="failed", failed_at=["price[3]", "price[7]"])
    each = node("each", progress={"done": 40, "total": 100})

    lines = shown(execution_tree(detail("exe_1", each, price))).splitlines()

    assert any("40 of 100" in line for line in lines)
    assert any("40 runs" in line and "failed at price[3], price[7]" in line for line in lines)


def test_what_is_waited_for_stands_below_the_tree_with_its_address() -> None:
    wait = {"execution_id": "exe_1", "node": "ask[3]", "reason": "approval", "until": AT, "answered": True}
    waiting = {**detail("exe_1", node("ask[3]"), status="waiting", waiting="approval", wake_at=AT, takeovers=2)}
    waiting["waits"] = [{**wait, "ask": {"text": "[red]Pay?[/red]"}, "resume_url": "https://flows.example/resume/x"}]

    drawn = shown(execution_page(waiting))

    assert "approval (answered)" in drawn
    assert "[red]Pay?[/red]" in drawn
    assert "https://flows.example/resume/x" in drawn
    assert "2 times, in a row" in drawn


def test_a_failure_comes_with_its_hint() -> None:
    failure = {"code": "http.refused", "message": "Not allowed.", "hint": "Ask."}
    failed = detail(
        "exe_1", status="failed", failure=failure, parent={"execution_id": "exe_0", "node": "call[2]", "awaited": True}
    )

    drawn = shown(execution_page(failed))

    assert "http.refused: Not allowed." in drawn
    assert "Hint: Ask." in drawn
    assert "exe_0" in drawn


def test_an_execution_that_is_being_cancelled_says_so() -> None:
    assert "cancelling" in shown(execution_page(detail("exe_1", status="running", cancelling=True)))


def test_a_place_on_ray_names_the_actor_and_the_node() -> None:
    place = {"executor": "ray", "host": "h", "pid": 9, "actor": "runner-0", "ray_node": "abcdef0123456789"}

    assert place_text(place) == "ray pid 9, runner-0, node abcdef01"


@pytest.mark.parametrize(("ms", "text"), [(None, ""), (0.25, "0.2 ms"), (999.0, "999.0 ms"), (61_500.0, "61.50 s")])
def test_durations_are_for_people(ms: float | None, text: str) -> None:
    assert spent(ms) == text


def test_no_time_is_shown_as_nothing() -> None:
    assert moment(None) == ""


def test_an_event_names_its_node_and_its_failure() -> None:
    failure = {"code": "node.failed", "message": "No."}

    assert "ask" in event_line("node.finished", AT, {"node": "ask"}).plain
    assert "node.failed: No." in event_line("execution.finished", AT, {"status": "failed", "failure": failure}).plain
    assert event_line("execution.started", AT, None).plain.endswith("execution.started          ")


def test_what_is_unknown_is_left_out_of_the_facts() -> None:
    assert shown(facts({"a": 1, "b": None})).split() == ["a", "1"]


def test_markup_in_what_others_wrote_stays_text() -> None:
    assert "[red]boom[/red]" in shown(execution_tree(detail("exe_1", node("x", type="[red]boom[/red]"))))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """stderr is a terminal, as far as rich can tell."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    yield


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_an_error_is_framed_and_long_work_shows_a_spinner(capsys: pytest.CaptureFixture[str]) -> None:
    block("It broke.", "some.code", "Mend it.")
    with progress("Working"):
        pass

    said = capsys.readouterr()
    assert "╭" in said.err
    assert "some.code" in said.err
    assert "Working" in said.err
    assert said.out == ""


def test_the_status_tells_the_runners_of_ray_and_why_there_is_none() -> None:
    runners = {"name": "ray", "address": "local", "runners": [{"actor": "runner-0", "pid": 5}]}
    failed = {"name": "inprocess", "pid": 1, "ray": {"state": "failed", "message": "No memory.", "hint": "Add."}}

    assert "runner-0" in shown(Group(*_executor(runners)))
    assert "No memory." in shown(Group(*_executor(failed)))
