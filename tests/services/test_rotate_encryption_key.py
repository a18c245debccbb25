"""Rotating the encryption key: at every moment every credential opens, whoever is killed or changes what meanwhile."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from budflow.credentials.cipher import AesCipher
from budflow.credentials.key_file import KeyFile
from budflow.credentials.key_ring import KeyRing
from budflow.model.credential import CredentialConflict, CredentialNotFound, CredentialRecord, Sealed
from budflow.model.principal import OWNER, PermissionMissing, Principal
from budflow.services import rotate_encryption_key as rotation
from budflow.services.rotate_encryption_key import KeyRotationView, RotateEncryptionKey, rotate_encryption_key
from budflow.services.use_case import Services
from budflow.storage.memory.store import MemoryStore
from tests.credentials.samples import FakeClock, given_cipher, sealed_record


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Death:
    """Kills at the step with this number, before or after it takes effect; the others are only counted."""

    step: int = -1
    after: bool = False
    taken: int = 0

    async def around(self, act: Callable[[], Awaitable[Any]]) -> Any:
        mine = self.taken == self.step
        self.taken += 1
        if mine and not self.after:
            raise Killed
        done = await act()
        if mine:
            raise Killed
        return done


class MortalStore(MemoryStore):
    """A store in whose calls the process may die. Each call lets others run."""

    def __init__(self) -> None:
        super().__init__()
        self.death = Death()

    async def list_wrapped_otherwise(self, key_id: str, *, limit: int) -> list[CredentialRecord]:
        await asyncio.sleep(0)
        listing = super().list_wrapped_otherwise
        return cast(list[CredentialRecord], await self.death.around(lambda: listing(key_id, limit=limit)))

    async def rewrap_credential(self, record: CredentialRecord, sealed: Sealed) -> bool:
        await asyncio.sleep(0)
        rewrapping = super().rewrap_credential
        return cast(bool, await self.death.around(lambda: rewrapping(record, sealed)))

    async def list_key_ids(self) -> frozenset[str]:
        await asyncio.sleep(0)
        return cast(frozenset[str], await self.death.around(super().list_key_ids))


@dataclass
class MortalCipher:
    """The real cipher; the process may die around what changes the file."""

    real: AesCipher
    death: Death

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def add_key(self) -> bool:
        return cast(bool, self._now(self.real.add_key))

    def drop_keys(self, in_use: frozenset[str]) -> None:
        self._now(lambda: self.real.drop_keys(in_use))

    def _now(self, act: Callable[[], Any]) -> Any:
        async def acting() -> Any:
            return act()

        coroutine = self.death.around(acting)
        try:
            coroutine.send(None)
        except StopIteration as ended:
            return ended.value
        raise AssertionError("it waited")


@dataclass
class World:
    """A store, and servers that come and go over one data directory."""

    data_dir: Path
    store: MortalStore = field(default_factory=MortalStore)
    clock: FakeClock = field(default_factory=FakeClock)

    def cipher(self) -> AesCipher:
        """That of a server that has just started."""
        self.clock.seconds += 1_000
        return AesCipher(KeyRing((), KeyFile(self.data_dir), self.clock))

    async def add(self, cipher: AesCipher, number: int) -> CredentialRecord:
        record = sealed_record(cipher, values_of(number), id=f"crd_{number}", name=f"c{number}")
        await self.store.add_credential(record)
        return record

    async def rotate(self, cipher: Any) -> KeyRotationView:
        services = cast(Services, Parts(self.store, cipher))
        return await rotate_encryption_key(services, OWNER, RotateEncryptionKey())

    async def all_open(self, numbers: range) -> bool:
        """Whether every credential opens as what it was, with what stands on the disk now."""
        cipher = self.cipher()
        for number in numbers:
            record = await self.store.get_credential("default", f"c{number}")
            assert record is not None
            assert cipher.open(record) == values_of(number)
        return True


@dataclass
class Parts:
    """The part of Services that a rotation works with."""

    store: MemoryStore
    cipher: Any


def values_of(number: int) -> bytes:
    return f'{{"token": "canary-{number}"}}'.encode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "data")


async def test_all_credentials_are_wrapped_with_a_new_key_and_the_old_one_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "PAGE", 2)
    old = world.cipher()
    boxes = {(await world.add(old, number)).sealed.box for number in range(7)}

    answer = await world.rotate(world.cipher())

    assert (answer.made, answer.rewrapped, answer.left, answer.unused_keys) == (True, 7, [], [])
    assert await world.store.list_key_ids() == {answer.key_id} == world.cipher().known
    assert {(await stored(world, number)).sealed.box for number in range(7)} == boxes, "what is sealed stays as it is"
    assert await world.all_open(range(7))


async def stored(world: World, number: int) -> CredentialRecord:
    record = await world.store.get_credential("default", f"c{number}")
    assert record is not None
    return record


async def test_credentials_of_all_projects_are_wrapped(world: World) -> None:
    cipher = world.cipher()
    for project in ("default", "other"):
        await world.store.add_credential(sealed_record(cipher, id=f"crd_{project}", project_id=project))

    assert (await world.rotate(world.cipher())).rewrapped == 2


async def test_without_credentials_there_is_only_a_new_key(world: World) -> None:
    answer = await world.rotate(world.cipher())

    assert (answer.made, answer.rewrapped, answer.left) == (True, 0, [])
    assert world.cipher().known == {answer.key_id}


async def test_given_keys_are_wrapped_to_the_first_and_those_that_may_go_are_named(world: World) -> None:
    await world.store.add_credential(sealed_record(given_cipher(1)))

    answer = await world.rotate(given_cipher(3, 2, 1))

    assert (answer.made, answer.rewrapped, answer.key_id) == (False, 1, given_cipher(3).newest)
    assert answer.unused_keys == sorted((given_cipher(1).newest, given_cipher(2).newest))
    assert given_cipher(3).open((await world.store.list_wrapped_otherwise("", limit=1))[0])
    again = await world.rotate(given_cipher(3, 2, 1))
    assert (again.rewrapped, again.key_id) == (0, answer.key_id)


async def test_it_needs_the_permission(world: World) -> None:
    somebody = Principal("somebody", permissions=frozenset({"credential:write"}))
    with pytest.raises(PermissionMissing):
        await rotate_encryption_key(cast(Services, Parts(world.store, world.cipher())), somebody, RotateEncryptionKey())


async def test_one_that_cannot_be_read_is_named_and_holds_up_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "PAGE", 2)
    cipher = world.cipher()
    for number in range(8):
        await world.add(cipher, number)
    old_key = cipher.newest
    for number in (0, 1, 2):
        record = await stored(world, number)
        await world.store.rewrap_credential(record, replace(record.sealed, wrapped_key=b"spoilt"))
    foreign = sealed_record(given_cipher(9), id="crd_9", name="c9")
    await world.store.add_credential(foreign)

    answer = await world.rotate(world.cipher())

    assert answer.rewrapped == 5
    assert {(one.id, one.code, one.key_id) for one in answer.left} == {
        *((f"crd_{number}", "credential.unreadable", old_key) for number in (0, 1, 2)),
        ("crd_9", "encryption.key_missing", foreign.sealed.key_id),
    }
    assert await world.all_open(range(3, 8))
    assert world.cipher().known == {answer.key_id, old_key}, "a backup of the row may be put back"

    again = await world.rotate(world.cipher())
    assert (again.rewrapped, again.made) == (5, True)
    assert again.key_id != answer.key_id


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("given", [False, True])
async def test_a_rotation_killed_at_any_step_loses_nothing_and_is_taken_up(
    tmp_path: Path, after: bool, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "PAGE", 2)
    step, ended = 0, False
    while not ended:
        world = World(tmp_path / str(step))
        old = given_cipher(1) if given else world.cipher()
        for number in range(5):
            await world.add(old, number)
        new = partial(given_cipher, 2, 1) if given else world.cipher

        world.store.death = Death(step, after)
        try:
            await world.rotate(MortalCipher(new(), world.store.death))
            ended = True
        except Killed:
            pass

        world.store.death = Death()
        for number in range(5):
            assert new().open(await stored(world, number)) == values_of(number)
        made = new().newest
        answer = await world.rotate(new())
        assert answer.left == []
        assert await world.store.list_key_ids() == {answer.key_id}
        if given:
            assert given_cipher(2).open(await stored(world, 4)) == values_of(4)
        else:
            assert world.cipher().known == {answer.key_id}
            assert answer.key_id == made or answer.rewrapped == 5, "it goes on with its key until it has ended"
            assert await world.all_open(range(5))
        step += 1
    assert step > 10


async def test_a_credential_on_its_way_into_the_store_during_a_whole_rotation_is_not_lost(world: World) -> None:
    cipher = world.cipher()
    await world.add(cipher, 0)
    late = sealed_record(cipher, values_of(1), id="crd_1", name="c1")
    first = await world.rotate(cipher)
    await world.store.add_credential(late)

    assert cipher.open(await stored(world, 1)) == values_of(1)
    assert await world.all_open(range(2))

    second = await world.rotate(world.cipher())
    assert second.key_id != first.key_id
    assert world.cipher().known == await world.store.list_key_ids() == {second.key_id}
    assert await world.all_open(range(2))


@pytest.mark.parametrize("seed", range(20))
async def test_uses_changes_deletions_and_other_rotations_at_the_same_time(world: World, seed: int) -> None:
    chance = random.Random(seed)
    cipher = world.cipher()
    for number in range(12):
        await world.add(cipher, number)
    going = True

    async def use() -> None:
        while going:
            record = await world.store.get_credential("default", f"c{chance.randrange(8)}")
            await pause()
            assert record is not None
            # A row that was read before the key was dropped may need it; the next read has the new one.
            if record.sealed.key_id in cipher.known:
                assert cipher.open(record)

    async def change() -> None:
        while going:
            number = chance.randrange(8)
            present = await stored(world, number)
            newer = replace(present, revision=present.revision + 1)
            newer = replace(newer, sealed=cipher.seal(newer, values_of(number)))
            await pause()
            with contextlib.suppress(CredentialConflict):
                await world.store.update_credential(newer, expected=present)

    async def rename() -> None:
        while going:
            present = await stored(world, chance.randrange(8))
            await pause()
            with contextlib.suppress(CredentialConflict):
                await world.store.update_credential(replace(present, hosts=present.hosts), expected=present)

    async def delete() -> None:
        for number in range(8, 12):
            await pause()
            await world.store.delete_credential("default", f"crd_{number}")

    async def pause() -> None:
        for _ in range(chance.randrange(1, 6)):
            await asyncio.sleep(0)

    others = [asyncio.create_task(act()) for act in (use, change, rename, delete)]
    answers = []
    for _ in range(3):
        answers += await asyncio.gather(*(world.rotate(cipher) for _ in range(chance.randrange(1, 4))))
        await pause()
    going = False
    await asyncio.gather(*others)

    assert not any(answer.left for answer in answers)
    assert await world.all_open(range(8))
    last = await world.rotate(world.cipher())
    assert world.cipher().known == await world.store.list_key_ids() == {last.key_id}
    assert await world.all_open(range(8))


async def test_two_servers_with_different_newest_keys_do_not_rotate_for_ever(world: World) -> None:
    await world.store.add_credential(sealed_record(given_cipher(1)))
    one, two = given_cipher(2, 1, 3), given_cipher(3, 1, 2)

    async with asyncio.timeout(5):
        await asyncio.gather(*(world.rotate(cipher) for cipher in (one, two) for _ in range(3)))

    assert one.open((await world.store.list_wrapped_otherwise("", limit=1))[0])


async def test_a_credential_that_keeps_changing_is_left_after_some_tries(world: World) -> None:
    cipher = world.cipher()
    await world.add(cipher, 0)
    await world.add(cipher, 1)

    class Busy(MortalStore):
        async def rewrap_credential(self, record: CredentialRecord, sealed: Sealed) -> bool:
            return record.id != "crd_0" and await super().rewrap_credential(record, sealed)

    busy = Busy()
    busy._tables = world.store._tables
    world.store = busy
    answer = await world.rotate(world.cipher())

    assert (answer.rewrapped, [one.code for one in answer.left]) == (1, ["credential.keeps_changing"])
    assert await world.all_open(range(2))


async def test_one_that_is_deleted_while_it_is_wrapped_is_simply_gone(world: World) -> None:
    cipher = world.cipher()
    await world.add(cipher, 0)
    rotating = asyncio.create_task(world.rotate(world.cipher()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await world.store.delete_credential("default", "crd_0")

    answer = await rotating
    assert (answer.rewrapped, answer.left) == (0, [])
    with pytest.raises(CredentialNotFound):
        await world.store.update_credential(sealed_record(cipher), expected=sealed_record(cipher))
