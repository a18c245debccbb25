"""Credentials at rest: they open as what they were sealed as, by who has the key, and as nothing else."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from budflow.credentials.cipher import AesCipher
from budflow.model.credential import CredentialRecord, CredentialUnreadable, Grants, Sealed
from budflow.services.credential_ports import EncryptionKeyMissing
from tests.credentials.samples import TOKEN, all_that_an_error_shows, given_cipher, key_text, record, sealed_record

CIPHER = given_cipher(1)
VALUES = f'{{"token": "{TOKEN}"}}'.encode()


def unreadable(cipher: AesCipher, changed: CredentialRecord) -> None:
    """It does not open, neither for use nor for wrapping it anew, and nothing is seen of what is in it."""
    for use in (cipher.open, cipher.rewrap):
        with pytest.raises(CredentialUnreadable) as caught:
            use(changed)
        assert caught.value.details == {"credential": changed.id}
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def changed_sealed(sealed: CredentialRecord, **parts: Any) -> CredentialRecord:
    return replace(sealed, sealed=replace(sealed.sealed, **parts))


def flipped(data: bytes, bit: int) -> bytes:
    return bytes(byte ^ (1 << bit % 8) if place == bit // 8 else byte for place, byte in enumerate(data))


@given(st.binary(max_size=200), st.text(st.characters(codec="utf-8"), max_size=20), st.lists(st.text(max_size=5)))
@settings(max_examples=50)
def test_what_is_sealed_opens_as_it_was(values: bytes, name: str, hosts: list[str]) -> None:
    try:
        "".join(hosts).encode()
    except UnicodeEncodeError:
        return
    sealed = sealed_record(CIPHER, values, kind=name, hosts=tuple(hosts))

    assert CIPHER.open(sealed) == values
    assert CIPHER.open(replace(sealed, sealed=CIPHER.rewrap(sealed))) == values


def test_nothing_of_the_values_stands_in_what_is_stored_and_no_two_seals_are_alike() -> None:
    one, two = sealed_record(CIPHER, VALUES).sealed, sealed_record(CIPHER, VALUES).sealed

    assert TOKEN.encode() not in one.box + one.wrapped_key
    assert one.key_id == two.key_id
    assert not {one.box, one.wrapped_key} & {two.box, two.wrapped_key}
    assert len({part[1:13] for sealed in (one, two) for part in (sealed.box, sealed.wrapped_key)}) == 4, "nonces"


def test_every_single_bit_of_both_parts_is_authenticated() -> None:
    sealed = sealed_record(CIPHER, VALUES)
    wrapped, box = sealed.sealed.wrapped_key, sealed.sealed.box

    for bit in range(len(wrapped) * 8):
        unreadable(CIPHER, changed_sealed(sealed, wrapped_key=flipped(wrapped, bit)))
    for bit in range(len(box) * 8):
        with pytest.raises(CredentialUnreadable):
            CIPHER.open(changed_sealed(sealed, box=flipped(box, bit)))


def test_neither_part_may_be_shorter_or_longer() -> None:
    sealed = sealed_record(CIPHER, VALUES)
    wrapped, box = sealed.sealed.wrapped_key, sealed.sealed.box

    for length in range(len(wrapped)):
        unreadable(CIPHER, changed_sealed(sealed, wrapped_key=wrapped[:length]))
    for length in range(len(box)):
        with pytest.raises(CredentialUnreadable):
            CIPHER.open(changed_sealed(sealed, box=box[:length]))
    unreadable(CIPHER, changed_sealed(sealed, wrapped_key=wrapped + b"\0"))
    with pytest.raises(CredentialUnreadable):
        CIPHER.open(changed_sealed(sealed, box=box + b"\0"))


@given(st.binary(max_size=120))
@settings(max_examples=100)
def test_garbage_is_unreadable_and_no_crash(garbage: bytes) -> None:
    sealed = sealed_record(CIPHER, VALUES)

    unreadable(CIPHER, changed_sealed(sealed, wrapped_key=garbage))
    with pytest.raises(CredentialUnreadable):
        CIPHER.open(changed_sealed(sealed, box=garbage))


@pytest.mark.parametrize("different", [{"id": "crd_2"}, {"project_id": "other"}, {"kind": "basic"}])
def test_a_row_moved_to_another_credential_project_or_kind_does_not_open(different: dict[str, Any]) -> None:
    unreadable(CIPHER, replace(sealed_record(CIPHER, VALUES), **different))


@pytest.mark.parametrize(
    "different",
    [
        {"revision": 2},
        {"revision": 11},
        {"hosts": ("evil.example",)},
        {"hosts": ("api.example.com", "evil.example")},
        {"hosts": ()},
        {"hosts": ("*",)},
    ],
)
def test_a_value_under_another_revision_or_with_other_hosts_does_not_open(different: dict[str, Any]) -> None:
    with pytest.raises(CredentialUnreadable):
        CIPHER.open(replace(sealed_record(CIPHER, VALUES), **different))


def test_hosts_that_only_look_alike_when_written_one_after_the_other_are_not_the_same() -> None:
    sealed = sealed_record(CIPHER, VALUES, hosts=("ab", "c"))

    for hosts in (("a", "bc"), ("abc",), ("ab", "c", ""), ("c", "ab"), ("ab,c",)):
        with pytest.raises(CredentialUnreadable):
            CIPHER.open(replace(sealed, hosts=hosts))


@pytest.mark.parametrize("parts", [("wrapped_key", "box"), ("wrapped_key",), ("box",)])
def test_what_is_sealed_in_two_rows_cannot_be_swapped(parts: tuple[str, ...]) -> None:
    one, two = sealed_record(CIPHER, VALUES), sealed_record(CIPHER, b"{}", id="crd_2")

    with pytest.raises(CredentialUnreadable):
        CIPHER.open(changed_sealed(one, **{part: getattr(two.sealed, part) for part in parts}))


def test_an_older_value_cannot_be_put_under_the_present_revision() -> None:
    old = sealed_record(CIPHER, VALUES)
    present = sealed_record(CIPHER, b"{}", revision=2)

    for parts in (("wrapped_key", "box"), ("wrapped_key",), ("box",)):
        with pytest.raises(CredentialUnreadable):
            CIPHER.open(changed_sealed(present, **{part: getattr(old.sealed, part) for part in parts}))


def test_a_wrapped_key_cannot_stand_for_a_box_nor_a_box_for_a_wrapped_key() -> None:
    sealed = sealed_record(CIPHER, b"x" * 32)

    unreadable(CIPHER, changed_sealed(sealed, wrapped_key=sealed.sealed.box))
    with pytest.raises(CredentialUnreadable):
        CIPHER.open(changed_sealed(sealed, box=sealed.sealed.wrapped_key))


def test_what_is_not_sealed_may_change() -> None:
    sealed = sealed_record(CIPHER, VALUES)

    assert CIPHER.open(replace(sealed, name="renamed", grants=Grants(), created_by="somebody")) == VALUES


def test_a_key_that_is_not_there_is_named_and_so_is_the_credential() -> None:
    sealed = sealed_record(CIPHER, VALUES)

    for use in (given_cipher(2).open, given_cipher(2).rewrap):
        with pytest.raises(EncryptionKeyMissing, match=sealed.sealed.key_id) as caught:
            use(sealed)
        assert "crd_1" in caught.value.message
        assert caught.value.details == {"credential": "crd_1", "key": CIPHER.newest}


def test_a_row_that_claims_to_be_wrapped_by_another_key_of_the_server_does_not_open() -> None:
    both = given_cipher(2, 1)

    unreadable(both, changed_sealed(sealed_record(CIPHER, VALUES), key_id=both.newest))


def test_wrapping_anew_changes_the_key_and_leaves_the_box() -> None:
    old = sealed_record(CIPHER, VALUES)
    both = given_cipher(2, 1)

    new = replace(old, sealed=both.rewrap(old))

    assert new.sealed.key_id == both.newest != old.sealed.key_id
    assert new.sealed.box == old.sealed.box
    assert given_cipher(2).open(new) == both.open(new) == both.open(old) == VALUES
    with pytest.raises(EncryptionKeyMissing):
        CIPHER.open(new)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: changed_sealed(one, box=flipped(one.sealed.box, 200)),
        lambda one: changed_sealed(one, wrapped_key=flipped(one.sealed.wrapped_key, 200)),
        lambda one: changed_sealed(one, key_id="f" * 16),
        lambda one: replace(one, hosts=("*",)),
    ],
)
def test_no_error_shows_a_key_or_a_value_in_any_frame_behind_it(
    spoil: Callable[[CredentialRecord], CredentialRecord],
) -> None:
    cipher = given_cipher(1)
    spoilt = spoil(sealed_record(cipher, VALUES))

    with pytest.raises((CredentialUnreadable, EncryptionKeyMissing)) as caught:
        cipher.open(spoilt)

    shown = all_that_an_error_shows(caught.value)
    for secret in (TOKEN, key_text(1), repr(b"\1" * 32), (b"\1" * 32).hex()):
        assert secret not in shown
    assert "box=" not in shown


def test_a_server_without_credentials_does_not_load_what_encrypts(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; import budflow.credentials.resolve, budflow.credentials.hand_over;"
        "from budflow.credentials.cipher import AesCipher; from budflow.credentials.key_ring import open_key_ring;"
        "AesCipher(open_key_ring((), Path(sys.argv[1]))).known; print('cryptography' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True)

    assert ran.stdout.strip() == "False"


def test_an_unsealed_record_does_not_open() -> None:
    with pytest.raises(EncryptionKeyMissing):
        CIPHER.open(record())
    unreadable(CIPHER, record(sealed=Sealed(CIPHER.newest, b"", b"")))
