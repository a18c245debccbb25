"""The file with the keys of a server that goes on while somebody else changes, restores or spoils it."""

import logging
import os
from pathlib import Path

import pytest

from budflow.credentials.cipher import AesCipher
from budflow.credentials.key_file import EncryptionKeysInvalid, EncryptionKeysUnwritable, KeyFile
from budflow.credentials.key_ring import UNDER_WAY_SECONDS, KeyRing
from tests.credentials.samples import TOKEN, FakeClock, sealed_record

KEYS = "encryption.keys"


def put(data_dir: Path, content: bytes) -> None:
    """As a person would: another file under the same name."""
    (data_dir / "restored").write_bytes(content)
    (data_dir / "restored").chmod(0o600)
    (data_dir / "restored").replace(data_dir / KEYS)


def ids(data_dir: Path) -> list[str]:
    """What a server that starts now would know, newest first."""
    return [key.id for key in KeyFile(data_dir).read().all]


def test_an_older_file_put_back_under_a_running_server_loses_no_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cipher = AesCipher(KeyRing((), KeyFile(tmp_path), FakeClock()))
    old = cipher.newest
    backup = (tmp_path / KEYS).read_bytes()
    cipher.add_key()
    record = sealed_record(cipher)
    new = record.sealed.key_id

    put(tmp_path, backup)

    assert TOKEN.encode() in cipher.open(record)
    assert ids(tmp_path) == [old, new], "it is on the disk again, behind what was put there"
    assert cipher.newest == old
    assert cipher.known == {old, new}
    assert [line.message for line in caplog.records if line.levelno >= logging.WARNING] == ["encryption.keys_put_back"]


def test_the_file_of_another_server_put_there_by_mistake_loses_no_key(tmp_path: Path) -> None:
    mine, theirs = KeyFile(tmp_path / "mine"), KeyFile(tmp_path / "theirs")
    key, other = mine.with_a_key().current[0], theirs.with_a_key().current[0]

    put(tmp_path / "mine", (tmp_path / "theirs" / KEYS).read_bytes())

    assert mine.restored().all == (other, key)
    assert ids(tmp_path / "mine") == [other.id, key.id]


def test_a_key_that_a_rotation_dropped_comes_back_by_nobody(tmp_path: Path) -> None:
    clock = FakeClock()
    ring = KeyRing((), KeyFile(tmp_path), clock)
    ring.to_seal()
    ring.add_key()
    clock.seconds += UNDER_WAY_SECONDS + 1
    ring.drop_keys(frozenset())
    newest = ring.newest().id

    (tmp_path / KEYS).touch()
    ring.newest()
    put(tmp_path, (tmp_path / KEYS).read_bytes())
    ring.to_seal()

    assert ring.known() == {newest}
    assert ids(tmp_path) == [newest]


def test_a_key_that_cannot_be_put_back_now_is_used_from_memory_and_put_back_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cipher = AesCipher(KeyRing((), KeyFile(tmp_path), FakeClock()))
    old = cipher.newest
    backup = (tmp_path / KEYS).read_bytes()
    cipher.add_key()
    record = sealed_record(cipher)
    put(tmp_path, backup)

    def failing(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", failing)
        assert TOKEN.encode() in cipher.open(record)
        assert ids(tmp_path) == [old]
    later = sealed_record(cipher, id="crd_2")

    assert ids(tmp_path) == [later.sealed.key_id, record.sealed.key_id]


def test_a_spoilt_file_is_one_clear_error_and_written_anew_once_it_is_taken_away(tmp_path: Path) -> None:
    cipher = AesCipher(KeyRing((), KeyFile(tmp_path), FakeClock()))
    record = sealed_record(cipher)
    put(tmp_path, b"spoilt")

    with pytest.raises(EncryptionKeysInvalid):
        cipher.open(record)
    (tmp_path / KEYS).unlink()
    sealed_record(cipher, id="crd_2")

    assert TOKEN.encode() in cipher.open(record)
    assert ids(tmp_path) == [record.sealed.key_id]


def test_in_a_directory_that_became_read_only_the_key_there_is_serves_on_and_a_rotation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cipher = AesCipher(KeyRing((), KeyFile(tmp_path), FakeClock()))
    key, real = cipher.newest, os.open

    def reading(path: str, flags: int, *mode: int) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system")
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", reading)
    with pytest.raises(EncryptionKeysUnwritable, match="Read-only"):
        cipher.add_key()

    assert TOKEN.encode() in cipher.open(sealed_record(cipher))
    assert cipher.newest == key
    with pytest.raises(EncryptionKeysUnwritable, match="Read-only"):
        KeyFile(tmp_path / "another").with_a_key()
