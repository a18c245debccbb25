"""Which credentials a workflow names, and where."""

from typing import Any

from budflow.graph.credential_needs import CredentialNeed, credential_needs
from budflow.graph.parse import parse
from budflow.graph.plan import compile_plan
from budflow.graph.validate import check
from tests.graph.documents import REGISTRY, document, graph, valid_document


def request(name: str, **rest: Any) -> dict[str, Any]:
    return {"type": "http.request", "params": {"url": "https://a.example/"}, "credentials": {"auth": name}, **rest}


def test_every_place_is_found_bodies_included() -> None:
    body = graph({"inner": request("two")}, ["$in > inner", "inner > $out"])
    nodes = {"outer": request("one"), "each": {"type": "flow.for_each", "bodies": {"body": body}}}

    workflow = check(document(nodes, ["start > outer", "outer > each"]), REGISTRY).require("run")

    assert credential_needs(workflow, REGISTRY) == (
        CredentialNeed("outer", "auth", "one", (), "/nodes/outer/credentials/auth", False),
        CredentialNeed("inner", "auth", "two", (), "/nodes/each/bodies/body/nodes/inner/credentials/auth", False),
    )
    assert compile_plan(workflow, REGISTRY).credentials == credential_needs(workflow, REGISTRY)


def test_the_slot_says_which_kinds_it_takes() -> None:
    hook = {"type": "trigger.webhook", "params": {"path": "a"}, "credentials": {"signature": "secret"}}

    [need] = credential_needs(parse(document({"hook": hook})), REGISTRY)

    assert need.kinds == ("hmac",)


def test_nodes_that_do_not_run_and_what_is_wrong_in_itself_need_none() -> None:
    nodes = {
        "off": request("a", disabled=True),
        "wrong": request("Not A Name"),
        "unknown": {"type": "no.such", "credentials": {"auth": "a"}},
        "slotless": {"type": "flow.no_op", "credentials": {"auth": "a"}},
        "pinned": request("b", pinned=[{}]),
    }

    [need] = credential_needs(parse(document(nodes)), REGISTRY)

    assert (need.node, need.pinned) == ("pinned", True)


def test_a_plan_without_credentials_says_so() -> None:
    workflow = check(valid_document(), REGISTRY).require("run")

    assert compile_plan(workflow, REGISTRY).credentials == ()
