"""One run of a node: the credentials that its expressions read, and what they have no bearing on."""

from datetime import UTC, datetime
from typing import Any

from budflow.credentials.kinds.basic import Basic
from budflow.execution.node_result import NodeRun
from budflow.execution.node_run import effect_of, run_node
from budflow.expressions.evaluate import Scope
from budflow.model.credential_kind import OpenCredential
from budflow.model.failure import Failure
from budflow.model.item import Item
from tests.execution.fakes import FakeHttp, plan_of

NOW = datetime(2030, 1, 2, tzinfo=UTC)
SECRET = "canary-2f7c1d-node"
AUTH = OpenCredential(
    "crd_1", "crm", "basic", Basic.model_validate({"user": "ada", "password": SECRET}), ("a.example",)
)


def run_of(http: FakeHttp, params: dict[str, Any], **credentials: OpenCredential) -> NodeRun:
    ask = {"type": "http.request", "params": {"url": "https://a.example/", **params}, "credentials": {"auth": "crm"}}
    _, plan = plan_of({"start": {"type": "trigger.manual"}, "ask": ask}, ["start > ask"])

    def on_retry(_tries: int, _failed: int, _seconds: float, _failure: Failure) -> None: ...

    run = NodeRun(
        node=plan.nodes[plan.index["ask"]],
        items=[Item({"a": 1}), Item({"a": 2})],
        ports={"main": range(2)},
        scope=lambda ordinal: Scope({"a": ordinal}, ordinal or 0, {"now": NOW}),
        now=NOW,
        effect_scope="exe_1",
        http=http,
        on_retry=on_retry,
    )
    run.give(credentials)
    return run


async def test_expressions_read_the_fields_of_the_nodes_own_credential() -> None:
    http = FakeHttp()
    headers = {"X-User": "{{ $secrets.auth.user + '-' + str($json.a) }}", "X-Password": "{{ $secrets.auth.password }}"}

    await run_node(run_of(http, {"headers": headers}, auth=AUTH))

    assert [request.headers for request in http.requests] == [(("X-User", "ada-0"),), (("X-User", "ada-1"),)]
    assert [secret.reveal() for request in http.requests for _, secret in request.secret_headers] == [SECRET, SECRET]


async def test_a_field_that_the_credential_lacks_fails_the_items_with_the_names_of_those_it_has() -> None:
    http = FakeHttp()
    result = await run_node(run_of(http, {"headers": {"X": "{{ $secrets.auth.pasword }}"}}, auth=AUTH))

    assert http.requests == []
    assert {failure.code for failure in result.failed.values()} == {"expression.failed"}
    assert "password" in result.failed[0].hint
    assert SECRET not in f"{result.failed}"


async def test_what_a_node_does_to_the_world_is_known_before_its_credentials_are_opened() -> None:
    headers = {"X": "{{ $secrets.auth.password }}"}
    for method, effect in (("GET", "idempotent"), ("POST", "once")):
        assert effect_of(run_of(FakeHttp(), {"method": method, "headers": headers})) == effect
