"""trigger.webhook."""

import pytest
from pydantic import ValidationError

from budflow.nodes.trigger.webhook import Signature, WebhookParams
from tests.nodes.harness import run

REQUEST = {"method": "POST", "path": "a", "params": {}, "query": {}, "headers": {}, "body": None}


def test_the_request_enters_as_it_came() -> None:
    assert run("trigger.webhook", {"path": "a"}, [REQUEST]).ports == {"main": [REQUEST]}


@pytest.mark.parametrize("path", ["a", "a/b", "orders/{shop}", "{x}/{y}", "v1.2/~me/A-B_c", "...", "a" * 200])
def test_a_path_is_segments_and_names_in_braces(path: str) -> None:
    assert WebhookParams(path=path).path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "a b",
        "a?b=1",
        "a#b",
        "ä",
        "{x}/{x}",
        "{}",
        "{1x}",
        "{x",
        "a{x}",
        "../a",
        "a/.",
        "a" * 201,
    ],
)
def test_a_path_that_could_not_be_served_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        WebhookParams(path=path)


@pytest.mark.parametrize("methods", [[], ["POST", "POST"], ["post"], ["TRACE"], "POST"])
def test_methods_are_known_ones_each_once(methods: object) -> None:
    with pytest.raises(ValidationError):
        WebhookParams.model_validate({"path": "a", "methods": methods})


def test_several_methods_are_served_in_their_order() -> None:
    assert WebhookParams(path="a", methods=["PUT", "GET"]).methods == ["PUT", "GET"]


def test_defaults_answer_a_post_at_once() -> None:
    params = WebhookParams(path="a")

    assert params.methods == ["POST"]
    assert params.respond == "immediately"
    assert params.respond_items == "first"
    assert params.signature is None


def test_a_signature_names_its_secret_as_a_variable_of_the_server() -> None:
    signature = Signature(secret="GITHUB_WEBHOOK")

    assert signature.variable == "BUDFLOW_SECRET_GITHUB_WEBHOOK"
    assert (signature.header, signature.algorithm, signature.encoding, signature.prefix) == (
        "X-Hub-Signature-256",
        "sha256",
        "hex",
        "sha256=",
    )


@pytest.mark.parametrize("secret", ["", "lower", "A B", "PATH=1", "s3cr3t!", "A" * 101])
def test_a_secret_itself_cannot_stand_in_the_workflow(secret: str) -> None:
    with pytest.raises(ValidationError):
        Signature(secret=secret)


def test_an_unknown_field_of_the_signature_is_refused() -> None:
    with pytest.raises(ValidationError):
        WebhookParams.model_validate({"path": "a", "signature": {"secret": "A", "key": "x"}})
