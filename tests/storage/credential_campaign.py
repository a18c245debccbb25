"""A campaign of many who create, change, grant, rename, delete, ask for, rotate and use credentials at the same time.

Two mains share a store. The oracle knows what was acknowledged when, and so which answers nobody may get any more.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, cast

from budflow.credentials.cipher import AesCipher
from budflow.credentials.key_file import KeyFile
from budflow.credentials.key_ring import UNDER_WAY_SECONDS, KeyRing
from budflow.credentials.resolve import FRESH_SECONDS, Resolver
from budflow.execution.ports import CredentialUser
from budflow.model.credential import (
    CredentialConflict,
    CredentialNameTaken,
    CredentialNotFound,
    CredentialRefused,
)
from budflow.model.principal import DEFAULT_PROJECT
from budflow.services.answer_credential_request import AnswerCredentialRequest, answer_credential_request
from budflow.services.credential_links import PREFIX
from budflow.services.credential_ports import RequestUsed
from budflow.services.delete_credential import DeleteCredential, delete_credential
from budflow.services.ports import Store
from budflow.services.request_credential import RequestCredential, request_credential
from budflow.services.rotate_encryption_key import RotateEncryptionKey, rotate_encryption_key
from budflow.services.use_case import Services
from tests.credentials.samples import FakeClock
from tests.services.credentials import ADA, create, stored, update

NAMES = 6
HOT = 3
USERS = 6
TURNS_MAX = 5
GRANTED = ("p0", "p1", "p2", "p3", "p4", "p5")
PARTS = 3
STEPS = 15
#: A step takes so long: a few steps of all are about as long as what is known may be out of date, and what is under way
#: takes far less than a rotation keeps a key for it. Between the parts nothing is under way.
STEP_SECONDS = 0.04


@dataclass(frozen=True, slots=True)
class Stamp:
    """When, and at which main, a change was acknowledged. `number` orders what one main did."""

    main: int
    number: int
    seconds: float


@dataclass
class Known:
    """What is known of one credential: its values by revision, its grants, and whether it is gone."""

    name: str
    revisions: dict[int, tuple[str, Stamp]] = field(default_factory=dict)
    granted: dict[str, tuple[bool, Stamp]] = field(default_factory=dict)
    changing: set[str] = field(default_factory=set)  # Whose grants are being changed.
    grant_changes: int = 0
    deleting: bool = False
    deleted: Stamp | None = None


class Delayed:
    """A store whose calls begin late and whose answers come late, by chance."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self._store, self._chance = store, chance

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        async def called(*args: Any, **options: Any) -> Any:
            await self._wait()
            answer = await call(*args, **options)
            await self._wait()
            return answer

        return called

    async def _wait(self) -> None:
        for _ in range(self._chance.randrange(TURNS_MAX)):
            await asyncio.sleep(0)


class Campaign:
    """Everybody and what they know; `run` raises AssertionError where an answer is one that nobody may get."""

    def __init__(self, services: Services, store: Store, keys: Path, seed: int) -> None:
        self._chance, self._clock, self._numbers = random.Random(seed), FakeClock(), count(1)
        cipher = AesCipher(KeyRing((), KeyFile(keys), self._clock))
        shared = replace(services, store=cast(Store, Delayed(store, self._chance)), cipher=cipher)
        kinds = services.credential_kinds
        self.mains = [
            replace(shared, credentials=Resolver(shared.store, cipher, kinds, clock=self._clock)) for _ in range(2)
        ]
        self.known: dict[str, Known] = {}
        self.hosts: dict[str, tuple[str, ...]] = {}  # By the value that was written with them.
        self.refused: set[str] = set()  # Values that were not taken.
        self.done: defaultdict[str, int] = defaultdict(int)

    async def run(self) -> None:
        """Let all go on at once; then look at what is left."""
        for main in (0, 1, 0, 1):
            await self._create(main)
        acts: list[Callable[[int], Awaitable[None]]] = [self._create, self._delete, self._change, self._rename]
        acts += [self._ask, self._rotate, *[self._use] * USERS]
        for _ in range(PARTS):
            granting = (self._each(number % 2, self._granting(who)) for number, who in enumerate(GRANTED))
            await asyncio.gather(*granting, *(self._each(main, act) for main in (0, 1) for act in acts))
            await self._look_at_what_is_left()
            self._clock.seconds += UNDER_WAY_SECONDS + 1

    async def _each(self, main: int, act: Callable[[int], Awaitable[None]]) -> None:
        for _ in range(STEPS):
            await act(main)
            self._clock.seconds += STEP_SECONDS
            await asyncio.sleep(0)

    def _now(self, main: int) -> Stamp:
        return Stamp(main, next(self._numbers), self._clock())

    def _seen(self, change: Stamp, since: Stamp) -> bool:
        """Whether who asks `since` then must see the change: at the same main at once, elsewhere after two seconds."""
        if change.main == since.main:
            return change.number < since.number
        return change.seconds < since.seconds - FRESH_SECONDS

    def _value(self) -> str:
        number = next(self._numbers)
        self.hosts[f"value-{number}"] = (f"h{number}.example",)
        return f"value-{number}"

    def _any(self) -> str:
        stored = [id_ for id_, known in self.known.items() if not known.deleting]
        return self._chance.choice(stored[-HOT:] if stored and self._chance.random() < 0.8 else [*self.known])

    async def _create(self, main: int) -> None:
        name, value = f"n{self._chance.randrange(NAMES)}", self._value()
        try:
            made = await create(self.mains[main], name=name, values={"token": value}, hosts=list(self.hosts[value]))
        except CredentialNameTaken:
            self.refused.add(value)
            return
        self.known[made.id] = Known(name, {1: (value, self._now(main))})
        self.done["created"] += 1

    async def _ask(self, main: int) -> None:
        """Ask for a credential, and answer twice at once."""
        name, values = f"asked-{next(self._numbers)}", [self._value(), self._value()]
        hosts = [host for value in values for host in self.hosts[value]]
        asked = RequestCredential(kind="bearer", name=name, hosts=hosts, reason="To try it.")
        token = (await request_credential(self.mains[main], ADA, asked)).url.rpartition(PREFIX)[2]
        answers = [
            AnswerCredentialRequest(token=token, values={"token": value}, hosts=list(self.hosts[value]))
            for value in values
        ]
        ended = await asyncio.gather(
            *(answer_credential_request(at, ADA, answer) for at, answer in zip(self.mains, answers, strict=True)),
            return_exceptions=True,
        )
        for value, end in zip(values, ended, strict=True):
            if isinstance(end, BaseException):
                assert isinstance(end, RequestUsed), end
                self.refused.add(value)
            else:
                # Nobody looked at it before: what the other main would have to forget it cannot know.
                self.known[end.id] = Known(name, {1: (value, self._now(main))})
                self.done["answered"] += 1
        assert sum(not isinstance(end, BaseException) for end in ended) == 1, "a link works once"

    async def _delete(self, main: int) -> None:
        id_ = self._any()
        known = self.known[id_]
        if self._chance.random() < 0.8:
            return
        known.deleting = True
        try:
            await delete_credential(self.mains[main], ADA, DeleteCredential(credential=id_))
        except CredentialNotFound:
            return
        assert known.deleted is None, "it is deleted once"
        known.deleted = self._now(main)
        self.done["deleted"] += 1

    async def _change(self, main: int) -> None:
        """Change value and hosts together; half of the time only the revision that is known."""
        id_, value = self._any(), self._value()
        known = self.known[id_]
        expected = max(known.revisions) if self._chance.random() < 0.5 else None
        change: dict[str, Any] = {
            "values": {"token": value},
            "hosts": list(self.hosts[value]),
            "expected_revision": expected,
        }
        try:
            view = await update(self.mains[main], credential=id_, **change)
        except (CredentialConflict, CredentialNotFound) as error:
            assert isinstance(error, CredentialConflict) or known.deleting
            self.refused.add(value)
            return
        assert expected in (None, view.revision - 1)
        assert view.revision not in known.revisions, "a change was lost under another"
        known.revisions[view.revision] = value, self._now(main)
        self.done["changed"] += 1

    async def _rename(self, main: int) -> None:
        id_, name = self._any(), f"renamed-{self._chance.randrange(2 * NAMES)}"
        try:
            view = await update(self.mains[main], credential=id_, name=name)
        except (CredentialNameTaken, CredentialNotFound, CredentialConflict):
            return
        assert view.name == name
        self.done["renamed"] += 1

    def _granting(self, who: str) -> Callable[[int], Awaitable[None]]:
        """Grant and revoke, as the only one who does so for `who`."""

        async def act(main: int) -> None:
            id_, grant = self._any(), self._chance.random() < 0.6
            known = self.known[id_]
            known.changing.add(who)
            known.grant_changes += 1
            change: dict[str, Any] = {"grant" if grant else "revoke": {"principals": [who]}}
            try:
                await update(self.mains[main], credential=id_, **change)
            except (CredentialConflict, CredentialNotFound):
                return
            finally:
                known.changing.discard(who)
            known.granted[who] = grant, self._now(main)
            self.done["granted"] += 1

        return act

    async def _rotate(self, main: int) -> None:
        if self._chance.random() < 0.7:
            return
        rotated = await rotate_encryption_key(self.mains[main], ADA, RotateEncryptionKey())
        assert {one.code for one in rotated.left} <= {"credential.keeps_changing"}
        self.done["rotated"] += 1

    async def _use(self, main: int) -> None:
        """Open one as a node would, and compare with all that must be seen by now."""
        id_, who = self._any(), self._chance.choice(("ada", *GRANTED))
        known, since = self.known[id_], self._now(main)
        granted, changes, changing = known.granted.get(who), known.grant_changes, who in known.changing
        user = CredentialUser(DEFAULT_PROJECT, "wf_1", who)
        try:
            opened = await self.mains[main].credentials.open(user, id_, ())
        except CredentialNotFound:
            assert known.deleting, "it is there"
            return
        except CredentialRefused:
            sure = granted is not None and self._seen(granted[1], since)
            settled = not changing and known.grant_changes == changes
            assert who != "ada", "its maker may use it"
            assert not (sure and settled and granted is not None and granted[0]), "it was granted"
            return
        assert known.deleted is None or not self._seen(known.deleted, since), "it is deleted"
        if who != "ada" and not changing and known.grant_changes == changes:
            assert granted is not None, "it was granted to nobody"
            assert granted[0] or not self._seen(granted[1], since), "it was revoked"
        [value] = opened.values.secrets()
        assert opened.hosts == self.hosts[value], "hosts and value of different revisions"
        assert value not in self.refused
        newest = max(number for number, (_, at) in known.revisions.items() if number == 1 or self._seen(at, since))
        older = {value for number, (value, _) in known.revisions.items() if number < newest}
        assert value not in older, "an older value than one that is known"
        self.done["used"] += 1

    async def _look_at_what_is_left(self) -> None:
        services = self.mains[0]
        page = await services.store.list_credentials(DEFAULT_PROJECT, limit=1_000)
        names = [record.name for record in page.credentials]
        assert names == sorted(set(names))
        assert {record.id for record in page.credentials} == {
            id_ for id_, known in self.known.items() if known.deleted is None
        }
        for found in page.credentials:
            known = self.known[found.id]
            record, values = await stored(services, found.id)
            assert sorted(known.revisions) == [*range(1, record.revision + 1)], "each change counts once"
            assert values == {"token": known.revisions[record.revision][0]}
            assert record.hosts == self.hosts[values["token"]]
            mine = {who for who, (granted, _) in known.granted.items() if granted}
            assert record.grants.principals == mine | {"ada"}, "no grant is lost or comes back"
