"""The keys of a server: what is taken for one, who may read the file, and that a kill at any moment loses none."""

import base64
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from budflow.credentials.key_file import (
    EncryptionKey,
    EncryptionKeysExposed,
    EncryptionKeysInvalid,
    EncryptionKeysUnwritable,
    KeyFile,
)
from budflow.credentials.key_ring import UNDER_WAY_SECONDS, KeyRing, open_key_ring
from budflow.settings import Settings
from tests.credentials.samples import FakeClock, key_text, secret_keys


def file_ring(directory: Path, clock: FakeClock | None = None) -> KeyRing:
    return KeyRing((), KeyFile(directory), clock or FakeClock())


def lines(directory: Path) -> list[str]:
    return (directory / "encryption.keys").read_text().splitlines()


def test_the_first_of_the_given_keys_seals_and_all_open(tmp_path: Path) -> None:
    ring = open_key_ring(secret_keys(2, 1), tmp_path)

    newest, older = EncryptionKey.of(b"\2" * 32), EncryptionKey.of(b"\1" * 32)
    assert ring.newest() == ring.to_seal() == newest
    assert ring.known() == {newest.id, older.id}
    assert ring.find(older.id) == older
    assert ring.find("0" * 16) is None


def test_with_given_keys_no_file_is_made_and_a_rotation_leaves_them_alone(tmp_path: Path) -> None:
    ring = open_key_ring(secret_keys(2, 1), tmp_path)

    assert not ring.add_key()
    ring.drop_keys(frozenset())

    assert len(ring.known()) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_keys_of_a_file_still_open_when_keys_are_given(tmp_path: Path) -> None:
    kept = file_ring(tmp_path).newest()
    before = (tmp_path / "encryption.keys").read_bytes()
    ring = open_key_ring(secret_keys(1), tmp_path)

    assert ring.newest().id != kept.id
    assert ring.find(kept.id) == kept
    ring.drop_keys(frozenset())
    assert (tmp_path / "encryption.keys").read_bytes() == before


def test_a_key_is_made_only_when_something_is_sealed(tmp_path: Path) -> None:
    ring = open_key_ring((), tmp_path / "data")

    assert ring.known() == frozenset()
    assert ring.find("0" * 16) is None
    assert list(tmp_path.iterdir()) == []

    key = ring.to_seal()

    assert ring.known() == {key.id}
    path = tmp_path / "data" / "encryption.keys"
    assert path.stat().st_mode & 0o777 == 0o600
    assert base64.b64decode(path.read_text()) == key.secret
    assert open_key_ring((), tmp_path / "data").newest() == key


def test_the_id_of_a_key_is_not_a_plain_hash_of_it() -> None:
    key = EncryptionKey.of(b"\1" * 32)

    assert len(key.id) == 16
    assert key.id != hashlib.sha256(key.secret).hexdigest()[:16]
    assert key.secret.hex() not in repr(key)
    assert "\\x01" not in repr(key)


@pytest.mark.parametrize(
    "wrong",
    [
        *("no base64!", "", "AAAA", "é" * 44, key_text(1)),
        *(base64.b64encode(b"x" * size).decode() for size in (31, 33)),
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
    ],
)
def test_what_is_no_key_is_one_clear_error_that_quotes_nothing(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(EncryptionKeysInvalid) as caught:
        open_key_ring((*secret_keys(1), SecretStr(wrong)), tmp_path)

    assert "Key 2 of BUDFLOW_ENCRYPTION_KEYS" in caught.value.message
    for text in (key_text(1), wrong):
        assert not text or text not in f"{caught.value!r}{caught.value.details}{caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "content", ["", "\n", "# nothing\n", "half a key", f"{key_text(1)}\n{key_text(1)}\n", "\0" * 70_000]
)
def test_a_file_that_holds_no_keys_is_refused_at_the_start(content: str, tmp_path: Path) -> None:
    path = tmp_path / "encryption.keys"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(EncryptionKeysInvalid, match=r"encryption\.keys"):
        open_key_ring((), tmp_path)
    assert path.read_text() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    ring = file_ring(tmp_path)
    ring.newest()
    (tmp_path / "encryption.keys").chmod(mode)

    with pytest.raises(EncryptionKeysExposed):
        open_key_ring((), tmp_path)
    with pytest.raises(EncryptionKeysExposed):
        ring.newest()


def test_a_directory_of_that_name_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "encryption.keys").mkdir()

    with pytest.raises(EncryptionKeysInvalid):
        open_key_ring((), tmp_path)


def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises((EncryptionKeysUnwritable, EncryptionKeysInvalid)):
        file_ring(tmp_path / "file").newest()


def test_a_new_key_comes_first_and_the_old_one_goes_when_nothing_needs_it(tmp_path: Path) -> None:
    ring = file_ring(tmp_path)
    old = ring.newest()

    assert ring.add_key()
    new = ring.newest()
    assert new != old
    assert ring.known() == {old.id, new.id}

    ring.drop_keys(frozenset({new.id}))
    assert ring.known() == {new.id}
    assert lines(tmp_path) == [base64.b64encode(new.secret).decode()]


def test_a_rotation_that_did_not_end_goes_on_with_its_key(tmp_path: Path) -> None:
    file_ring(tmp_path).newest()
    file_ring(tmp_path).add_key()
    begun = lines(tmp_path)

    assert file_ring(tmp_path).add_key()
    assert lines(tmp_path) == begun


def test_a_key_that_something_still_needs_stays_and_the_next_rotation_makes_a_new_one(tmp_path: Path) -> None:
    first = file_ring(tmp_path).newest()
    file_ring(tmp_path).add_key()
    file_ring(tmp_path).drop_keys(frozenset({first.id}))
    second = file_ring(tmp_path).newest()
    assert file_ring(tmp_path).known() == {first.id, second.id}

    file_ring(tmp_path).add_key()
    third = file_ring(tmp_path).newest()
    assert third not in (first, second)
    assert file_ring(tmp_path).known() == {first.id, second.id, third.id}

    file_ring(tmp_path).drop_keys(frozenset())
    assert file_ring(tmp_path).known() == {third.id}


def test_a_key_that_sealed_a_moment_ago_stays_until_the_row_must_have_arrived(tmp_path: Path) -> None:
    clock = FakeClock()
    ring = file_ring(tmp_path, clock)
    old = ring.to_seal()
    ring.add_key()
    clock.seconds += UNDER_WAY_SECONDS
    ring.drop_keys(frozenset())
    assert old.id in ring.known()

    clock.seconds += 1
    ring.drop_keys(frozenset())
    assert ring.known() == {ring.newest().id}


def test_what_another_process_changed_is_seen_at_the_next_use(tmp_path: Path) -> None:
    mine, other = file_ring(tmp_path), file_ring(tmp_path)
    old = mine.newest()
    other.add_key()

    assert mine.newest() == other.newest() != old
    assert mine.known() == {old.id, other.newest().id}


def test_a_file_that_was_removed_under_a_running_server_is_written_again_before_it_seals(tmp_path: Path) -> None:
    ring = file_ring(tmp_path)
    key = ring.newest()
    (tmp_path / "encryption.keys").unlink()

    assert ring.find(key.id) == key
    assert ring.to_seal() == key
    assert open_key_ring((), tmp_path).newest() == key


def test_many_that_need_the_first_key_at_once_agree_on_one(tmp_path: Path) -> None:
    rings = [file_ring(tmp_path) for _ in range(20)]
    start = threading.Barrier(len(rings))
    made: list[str] = []

    def seal(ring: KeyRing) -> None:
        start.wait()
        made.append(ring.to_seal().id)

    threads = [threading.Thread(target=seal, args=(ring,)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 20
    assert len(set(made)) == 1
    assert len(lines(tmp_path)) == 1


_KILLED_AT = """
import os, sys
from pathlib import Path
from budflow.credentials.key_file import KeyFile
from budflow.credentials.key_ring import KeyRing

calls = 0
def counting(real):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os._exit(9)
        return real(*args, **kwargs)
    return call

for name in ("open", "fchmod", "fsync", "replace", "rename", "close"):
    setattr(os, name, counting(getattr(os, name)))
KeyRing((), KeyFile(Path(sys.argv[1]))).add_key()
"""


def test_a_kill_at_any_step_leaves_the_old_keys_or_the_new_ones(tmp_path: Path) -> None:
    old = file_ring(tmp_path).newest()
    step, ended = 0, False
    while not ended:
        step += 1
        ended = (
            subprocess.run([sys.executable, "-c", _KILLED_AT, str(tmp_path), str(step)], check=False).returncode == 0
        )
        ring = open_key_ring((), tmp_path)
        assert old.id in ring.known()
        assert len(ring.known()) <= 2

    assert step > 5
    assert len(open_key_ring((), tmp_path).known()) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"encryption.keys", "encryption.keys.lock"}


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_disk_that_fails_changes_nothing(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = file_ring(tmp_path)
    old = ring.newest()

    def failing(_descriptor: int, *_more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        with pytest.raises(EncryptionKeysUnwritable, match="No space left"):
            ring.add_key()

    assert open_key_ring((), tmp_path).newest() == old


def test_the_settings_take_keys_and_show_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BUDFLOW_ENCRYPTION_KEYS", f" {key_text(2)} , {key_text(1)},")
    settings = Settings()

    assert [key.get_secret_value() for key in settings.encryption_keys] == [key_text(2), key_text(1)]
    for text in (key_text(1), key_text(2)):
        assert text not in f"{settings!r}{settings}{settings.model_dump_json()}"
    assert open_key_ring(settings.encryption_keys, tmp_path).newest() == EncryptionKey.of(b"\2" * 32)
