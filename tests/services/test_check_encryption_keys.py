"""The keys at a start: stored credentials that need one which is not there stop it, with its id."""

from pathlib import Path

import pytest

from budflow.credentials.cipher import AesCipher
from budflow.credentials.key_ring import open_key_ring
from budflow.services.check_encryption_keys import check_encryption_keys
from budflow.services.credential_ports import EncryptionKeyMissing
from budflow.storage.memory.store import MemoryStore
from tests.credentials.samples import given_cipher, sealed_record


async def test_a_server_without_credentials_needs_no_keys_and_makes_none(tmp_path: Path) -> None:
    cipher = AesCipher(open_key_ring((), tmp_path / "data"))

    await check_encryption_keys(MemoryStore(), cipher)

    assert cipher.known == frozenset()
    assert not (tmp_path / "data").exists()


async def test_every_key_that_a_credential_needs_must_be_there(tmp_path: Path) -> None:
    store, first, third = MemoryStore(), given_cipher(1), given_cipher(3)
    await store.add_credential(sealed_record(first))
    await store.add_credential(sealed_record(third, id="crd_2", name="two"))

    await check_encryption_keys(store, given_cipher(2, 1, 3))

    with pytest.raises(EncryptionKeyMissing, match=first.newest) as caught:
        await check_encryption_keys(store, given_cipher(2, 3))
    assert caught.value.details == {"keys": [first.newest]}

    assert "BUDFLOW_ENCRYPTION_KEYS_LOST" in caught.value.hint  # The way out, where the key is gone for good.

    with pytest.raises(EncryptionKeyMissing) as caught:
        await check_encryption_keys(store, AesCipher(open_key_ring((), tmp_path)))
    assert caught.value.details == {"keys": sorted((first.newest, third.newest))}


async def test_keys_that_are_told_to_be_lost_are_logged_and_stop_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, lost = MemoryStore(), given_cipher(1)
    await store.add_credential(sealed_record(lost))

    await check_encryption_keys(store, AesCipher(open_key_ring((), tmp_path)), lost=True)

    [record] = caplog.records
    assert (record.message, record.levelname) == ("encryption.keys_lost", "ERROR")
    assert record.__dict__["fields"]["keys"] == [lost.newest]
