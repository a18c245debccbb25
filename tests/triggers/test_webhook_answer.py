"""What came of an execution becomes the answer, and no workflow can break the answer's framing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import pytest

from budflow.model.event import Responded
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from budflow.nodes.trigger.webhook import WebhookParams
from budflow.triggers.webhook_answer import GUARDS, Answer, answer_of
from budflow.triggers.webhook_outcome import Outcome

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def answer(
    outcome: Outcome, respond: Literal["last_node", "respond_node"], items: Any = "first", *, authored: bool = False
) -> Answer:
    params = WebhookParams(path="x", respond=respond, respond_items=items)
    return answer_of(outcome, params, "exe_1", "/webhook/x", authored=authored)


def written(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return answer(Outcome(Responded(NOW, "answer", status, headers or {}, body)), "respond_node")


def test_the_last_node_answers_with_its_first_item_or_with_all() -> None:
    outcome = Outcome(None, "succeeded", None, ItemList.of([{"a": 1}, {"a": 2}]))

    assert answer(outcome, "last_node").body == b'{"a":1}'
    assert answer(outcome, "last_node", "all").body == b'[{"a":1},{"a":2}]'


def test_no_items_are_answered_as_null_or_as_an_empty_list() -> None:
    assert answer(Outcome(None, "succeeded"), "last_node").body == b"null"
    assert answer(Outcome(None, "succeeded"), "last_node", "all").body == b"[]"


def test_a_failure_that_the_author_worded_is_told_with_its_code_and_the_execution() -> None:
    failure = Failure("order.empty", "No lines.", "Add one.", "stop")

    failed = answer(Outcome(None, "failed", failure), "last_node", authored=True)

    assert failed.status == 500
    assert orjson.loads(failed.body) == {
        "type": "urn:budflow:error:order.empty",
        "title": "The workflow failed.",
        "status": 500,
        "detail": "No lines.",
        "code": "order.empty",
        "hint": "Add one.",
        "instance": "/webhook/x",
        "details": {"execution_id": "exe_1", "node": "stop"},
    }


def test_a_stranger_learns_of_any_other_failure_no_more_than_the_execution() -> None:
    failure = Failure("http.timed_out", "http://10.0.0.7/?token=abc took too long.", "Give it more time.", "fetch")

    failed = answer(Outcome(None, "failed", failure), "last_node")

    assert failed.status == 500
    assert b"10.0.0.7" not in failed.body and b"fetch" not in failed.body
    problem = orjson.loads(failed.body)
    assert (problem["code"], problem["details"]) == ("webhook.execution_failed", {"execution_id": "exe_1"})


def test_an_end_of_which_nothing_is_known_is_a_failure() -> None:
    assert answer(Outcome(None), "last_node").status == 500


def test_a_cancelled_execution_is_a_conflict() -> None:
    assert answer(Outcome(None, "cancelled"), "respond_node").status == 409


def test_a_workflow_that_succeeds_without_answering_gives_no_content() -> None:
    assert answer(Outcome(None, "succeeded"), "respond_node") == Answer(204, (), b"")


def test_an_answer_counts_even_where_the_workflow_failed_later() -> None:
    responded = Responded(NOW, "answer", 201, {}, None)

    assert answer(Outcome(responded, "failed"), "respond_node") == Answer(201, GUARDS, b"")


@pytest.mark.parametrize(
    ("body", "sent", "media_type"),
    [
        ("hello ü", "hello ü".encode(), "text/plain; charset=utf-8"),
        ({"a": None}, b'{"a":null}', "application/json"),
        ([], b"[]", "application/json"),
        (False, b"false", "application/json"),
    ],
)
def test_a_body_is_sent_as_text_or_as_json(body: Any, sent: bytes, media_type: str) -> None:
    assert written(200, body) == Answer(200, (("Content-Type", media_type), *GUARDS), sent)


def test_the_workflow_may_say_what_its_text_is() -> None:
    html = written(200, "<p>", {"content-type": "text/html"})

    assert html == Answer(200, (("content-type", "text/html"), *GUARDS), b"<p>")


def test_a_page_of_a_workflow_is_kept_apart_from_the_server_it_comes_from() -> None:
    own = {"Content-Type": "text/html", "Content-Security-Policy": "default-src *", "X-Content-Type-Options": "none"}

    headers = [(name.lower(), value) for name, value in written(200, "<script>", own).headers]

    policies = [value for name, value in headers if name == "content-security-policy"]
    assert len(policies) == 2  # A browser holds a page to all of them.
    assert any(value.startswith("sandbox ") and "allow-same-origin" not in value for value in policies)
    assert [value for name, value in headers if name == "x-content-type-options"] == ["nosniff"]


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_a_body_gets_none(status: int) -> None:
    assert written(status, {"a": 1}).body == b""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
        ("Date", "today"),
        ("X-Budflow-Execution", "exe_forged"),
        ("X-Split", "a\r\nSet-Cookie: b=c"),
        ("X-Nul", "a\x00"),
        ("X-Far", "中"),
        ("X Name", "a"),
        ("X-Name:", "a"),
        ("", "a"),
    ],
)
def test_headers_that_would_break_the_answer_are_dropped(name: str, value: str) -> None:
    assert written(200, None, {name: value, "X-Kept": "grün"}).headers == (("X-Kept", "grün"), *GUARDS)
