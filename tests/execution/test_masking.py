"""Masking what a node gives back: whatever it is made of, and only where there is a secret in it."""

from dataclasses import dataclass
from typing import Any

import pytest

from budflow.execution.masking import mask_result, masked_items
from budflow.execution.node_result import NodeResult
from budflow.model.credential_kind import OpenCredential, redaction_of
from budflow.model.failure import Failure
from budflow.model.item import BlobRef, Item, ItemError
from tests.execution.vault import Token

SECRET = "a secret of nobody"


def credential(secret: str = SECRET) -> OpenCredential:
    values = Token(token=secret)
    return OpenCredential("crd_1", "crm", "token", values, ("*",))


@dataclass
class Answer:
    text: str


REDACTION = credential().redaction


@pytest.mark.parametrize(
    ("given", "masked"),
    [
        (f"x {SECRET} y", "x *** y"),
        ([{SECRET: [SECRET]}], [{"***": ["***"]}]),
        ((1, SECRET), (1, "***")),
        ({SECRET}, ["***"]),
        (Answer(SECRET), {"text": "***"}),
        ({1: {"deep": ({SECRET},)}}, {"1": {"deep": [["***"]]}}),
    ],
    ids=["text", "keys", "tuple", "set", "dataclass", "one inside the other"],
)
def test_a_secret_is_masked_wherever_it_stands(given: Any, masked: Any) -> None:
    [item] = masked_items([Item({"value": given})], REDACTION)

    assert item.json == {"value": masked}


def test_items_without_a_secret_stay_the_very_same_data() -> None:
    json = {"value": ["nothing", 1, None, {"deep": "in it"}]}

    [item] = masked_items([Item(json)], REDACTION)

    assert item.json is json


def test_what_is_no_json_is_left_to_the_journal_to_refuse() -> None:
    json = {"value": object()}

    assert masked_items([Item(json)], REDACTION)[0].json is json


def test_names_of_files_and_errors_of_items_are_masked() -> None:
    blob = BlobRef("0" * 64, 1, "text/plain", f"{SECRET}.txt")
    given = Item({}, {"file": blob}, ItemError("x", f"{SECRET} failed", f"try {SECRET}", "node"))

    [item] = masked_items([given], REDACTION)

    assert item.binary["file"].name == "***.txt"
    assert item.error == ItemError("x", "*** failed", "try ***", "node")


def test_a_result_of_another_process_is_masked_as_a_whole() -> None:
    failure = Failure("x", f"{SECRET} failed", SECRET, "node", retriable=True)
    result = NodeResult({"main": ([Item({"a": SECRET})], [0])}, {1: failure}, fatal=failure)

    mask_result(result, REDACTION)

    masked = Failure("x", "*** failed", "***", "node", retriable=True)
    assert result.ports["main"] == ([Item({"a": "***"})], [0])
    assert (result.failed, result.fatal) == ({1: masked}, masked)


def test_without_credentials_there_is_nothing_to_mask() -> None:
    assert redaction_of({}) is None
