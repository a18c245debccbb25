"""Handing credentials over: whole to whom it is sealed for, once, and nothing to anybody else."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import BaseModel, Field

from budflow.credentials.find_kinds import find_kinds
from budflow.credentials.hand_over import HandOverFailed, HpkeHandOver
from budflow.execution.ports import HandOver
from budflow.model.credential_kind import STORED, CredentialKind, OpenCredential
from budflow.model.secret import Secret, SecretText, SecretUnserializable
from budflow.services.credential_ports import Kinds
from tests.credentials.samples import TOKEN, all_that_an_error_shows


class Part(BaseModel):
    """A part of a kind."""

    key: Annotated[Secret, SecretText()]
    size: int = 1


class Nested(CredentialKind):
    """A kind with everything that values may be made of."""

    name: ClassVar[str] = "nested"
    token: Annotated[Secret, SecretText()] = Field(description="One.")
    other: Annotated[Secret, SecretText()] | None = Field(None, description="Perhaps.")
    place: Literal["header", "query"] = Field("header", alias="in", description="Under another name outside.")
    headers: dict[str, Annotated[Secret, SecretText()]] = Field(default_factory=dict, description="Some.")
    parts: list[Part] = Field(default_factory=list, description="More.")
    pair: tuple[str, float] = Field(("a", 0.5), description="Plain.")


KINDS: Kinds = {**find_kinds(), "nested": Nested}
HAND_OVER: HandOver = HpkeHandOver(lambda: KINDS)
INFO = b"segment 1, slot auth"


def opened(kind: str = "bearer", values: Mapping[str, Any] | None = None) -> OpenCredential:
    made = KINDS[kind].model_validate(values or {"token": TOKEN}, context=STORED)
    return OpenCredential("crd_1", "crm", kind, made, ("api.example.com", "http://crm.internal"))


def sealed_for(public_key: bytes, info: bytes = INFO) -> bytes:
    return HAND_OVER.seal(opened(), public_key, info)


def example_of(kind: type[CredentialKind]) -> dict[str, Any]:
    """The first example of every field that has one."""
    return {field.alias or name: field.examples[0] for name, field in kind.model_fields.items() if field.examples}


def secrets_of(credential: OpenCredential) -> list[str]:
    return list(credential.values.secrets())


def test_what_is_opened_is_what_was_sealed() -> None:
    receiver = HAND_OVER.receiver(INFO)
    box = sealed_for(receiver.public_key)
    taken = receiver.open(box)

    assert (taken.id, taken.name, taken.kind) == ("crd_1", "crm", "bearer")
    assert taken.hosts == ("api.example.com", "http://crm.internal")
    assert taken.values == opened().values
    assert taken.redaction.text(f"so {TOKEN}") == "so ***"
    assert TOKEN.encode() not in box


#: Beyond the examples of the fields.
MORE: Mapping[str, Mapping[str, Any]] = {
    "nested": {
        "token": TOKEN,
        "in": "query",
        "headers": {"X-One": "canary-one", "X-Ü": "canary-\u2028two"},
        "parts": [{"key": "canary-three", "size": 3}, {"key": "canary-four"}],
        "pair": ["b", 1.25],
    },
    "ssh_key": {"private_key": "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n"},
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_credential_of_every_kind_arrives_whole(kind: str) -> None:
    before = opened(kind, {**example_of(KINDS[kind]), **MORE.get(kind, {})})
    receiver = HAND_OVER.receiver(INFO)

    after = receiver.open(HAND_OVER.seal(before, receiver.public_key, INFO))

    assert after.values == before.values
    assert secrets_of(after) == secrets_of(before) != []


def test_it_is_opened_once() -> None:
    receiver = HAND_OVER.receiver(INFO)
    box = sealed_for(receiver.public_key)
    receiver.open(box)

    with pytest.raises(HandOverFailed, match="once"):
        receiver.open(box)


def test_one_that_fails_ends_the_receiver_too() -> None:
    receiver = HAND_OVER.receiver(INFO)
    box = sealed_for(receiver.public_key)
    with pytest.raises(HandOverFailed):
        receiver.open(box[:-1])

    with pytest.raises(HandOverFailed, match="once"):
        receiver.open(box)


def test_another_receiver_opens_nothing_and_every_receiver_is_new() -> None:
    one, other = HAND_OVER.receiver(INFO), HAND_OVER.receiver(INFO)

    assert one.public_key != other.public_key
    with pytest.raises(HandOverFailed):
        other.open(sealed_for(one.public_key))


@pytest.mark.parametrize("info", [b"", INFO + b"x", INFO[:-1], b"segment 2, slot auth"])
def test_it_is_bound_to_its_purpose(info: bytes) -> None:
    receiver = HAND_OVER.receiver(INFO)

    with pytest.raises(HandOverFailed):
        receiver.open(sealed_for(receiver.public_key, info))


def test_every_bit_and_the_length_are_authenticated() -> None:
    length = len(sealed_for(HAND_OVER.receiver(INFO).public_key))
    for place in range(length):
        receiver = HAND_OVER.receiver(INFO)
        box = bytearray(sealed_for(receiver.public_key))
        # The curve ignores the highest bit of a coordinate (RFC 7748, 5), but HPKE derives the key from all of it.
        box[place] ^= 1 << (7 if place == 31 else place % 8)
        with pytest.raises(HandOverFailed):
            receiver.open(bytes(box))
    for size in range(length):
        receiver = HAND_OVER.receiver(INFO)
        with pytest.raises(HandOverFailed):
            receiver.open(sealed_for(receiver.public_key)[:size])


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_garbage_is_refused_and_no_crash(garbage: bytes) -> None:
    with pytest.raises(HandOverFailed):
        HAND_OVER.receiver(INFO).open(garbage)
    if len(garbage) != 32:
        with pytest.raises(HandOverFailed):
            sealed_for(garbage)


@pytest.mark.parametrize("key", [b"", bytes(32), b"\1" + bytes(31), b"k" * 31, b"k" * 33])
def test_what_is_no_public_key_gets_nothing(key: bytes) -> None:
    with pytest.raises(HandOverFailed, match="public key") as caught:
        sealed_for(key)
    assert TOKEN not in all_that_an_error_shows(caught.value)


def test_a_kind_that_the_receiver_lacks_or_has_otherwise_is_an_error_that_shows_nothing() -> None:
    class Other(CredentialKind):
        name: ClassVar[str] = "bearer"
        other: str = Field(description="Not what was sealed.")

    known: tuple[Kinds, ...] = ({}, {"bearer": Other})
    for kinds in known:
        receiver = HpkeHandOver(partial(dict, kinds)).receiver(INFO)
        with pytest.raises(HandOverFailed) as caught:
            receiver.open(sealed_for(receiver.public_key))
        assert TOKEN not in all_that_an_error_shows(caught.value)


def test_neither_a_credential_nor_a_receiver_can_be_pickled_or_copied() -> None:
    for thing in (opened(), HAND_OVER.receiver(INFO)):
        for write in (pickle.dumps, copy.deepcopy):
            with pytest.raises(SecretUnserializable):
                write(thing)


_OTHER_PROCESS = """
import sys
from budflow.credentials.find_kinds import find_kinds
from budflow.credentials.hand_over import HpkeHandOver

receiver = HpkeHandOver(find_kinds).receiver(b"segment 1, slot auth")
print(receiver.public_key.hex(), flush=True)
taken = receiver.open(bytes.fromhex(sys.stdin.readline()))
print(taken, taken.values, len(taken.values.token.reveal()))
"""


def test_another_process_takes_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER_PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        public_key = bytes.fromhex(process.stdout.readline())
        said, _ = process.communicate(sealed_for(public_key).hex() + "\n", timeout=30)

    assert said == f"<credential crm> token=*** {len(TOKEN)}\n"
