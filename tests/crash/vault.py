"""A vault: credentials whose values a test knows, changed through real servers and read behind their backs.

What a server acknowledged must be there as it was acknowledged last. A change that nobody answered may have been made.
"""

import asyncio
import contextlib
import random
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2
import orjson
from pydantic import SecretStr

from budflow.credentials.cipher import AesCipher
from budflow.credentials.key_file import KEYS_FILE, KeyFile
from budflow.credentials.key_ring import open_key_ring
from budflow.errors import BudflowError
from budflow.model.credential import CredentialRecord
from budflow.storage.credential_rows import credential_of
from budflow.storage.open import DATABASE_FILE
from tests.crash.server import Server

HOSTS = ["vault.example"]
UNAVAILABLE = 503
PAUSE_SECONDS = 0.005


@dataclass
class Known:
    """Of one credential: the values of which it must have one, and whether it may be missing."""

    values: set[str] = field(default_factory=set)
    acknowledged: bool = False


class Vault:
    """Credentials on `server`'s database; without a URL that is the SQLite file of its data directory."""

    def __init__(self, server: Server, database_url: str | None = None) -> None:
        self._data_dir, self._url = server.data_dir, database_url
        self._known: dict[str, Known] = {}
        self._lock = threading.Lock()  # Nothing is judged while a change is under way.

    @property
    def acknowledged(self) -> list[str]:
        """The names of the credentials that there must be."""
        return [name for name, known in self._known.items() if known.acknowledged]

    def create(self, server: Server, name: str, value: str) -> bool:
        """Store a credential; whether that was acknowledged."""
        body = {"kind": "bearer", "name": name, "values": {"token": value}, "hosts": HOSTS}
        return self._changed(server, "POST", "/credentials", body, name, value)

    def change(self, server: Server, name: str, value: str) -> bool:
        """Give a credential another value; whether that was acknowledged."""
        return self._changed(server, "PATCH", f"/credentials/{name}", {"values": {"token": value}}, name, value)

    def findings(self, keys: Sequence[str] = ()) -> list[str]:
        """What is not as it must be, for a server with these encryption keys, or with those of the file."""
        with self._lock:
            return [*self._findings(keys)]

    def records(self) -> list[CredentialRecord]:
        """All credentials as they are at rest."""
        return [credential_of(row) for row in (self._sqlite_rows() if self._url is None else self._postgres_rows())]

    def key_ids(self) -> list[str]:
        """The ids of the keys in the file, newest first."""
        return [key.id for key in KeyFile(self._data_dir).read().all]

    def key_files(self) -> set[str]:
        """The names of the key file and of what lies beside it."""
        return {path.name for path in self._data_dir.glob(f"{KEYS_FILE}*")}

    def _findings(self, keys: Sequence[str]) -> Iterator[str]:
        stored = {record.name: record for record in self.records() if record.hosts == tuple(HOSTS)}
        cipher = AesCipher(open_key_ring([SecretStr(key) for key in keys], self._data_dir))
        yield from (f"{name} is lost" for name in self.acknowledged if name not in stored)
        for name, record in stored.items():
            try:
                value = orjson.loads(cipher.open(record))["token"]
            except BudflowError as error:
                yield f"{name}: {error.code}"
                continue
            if value not in self._known[name].values:
                yield f"{name} has a value that nobody gave it last"

    def _changed(self, server: Server, method: str, path: str, body: Mapping[str, Any], name: str, value: str) -> bool:
        with self._lock:
            known = self._known.setdefault(name, Known())
            known.values.add(value)
            done = self._asked(server, method, path, body)
            if done:
                known.values, known.acknowledged = {value}, True
            return done

    def _asked(self, server: Server, method: str, path: str, body: Mapping[str, Any]) -> bool:
        """Whether the server acknowledged a change."""
        try:
            answer = server.client.request(method, path, json=body)
        except (httpx2.TransportError, RuntimeError, AssertionError):  # It died, or is not back yet.
            return False
        if answer.status_code == UNAVAILABLE:
            return False
        answer.raise_for_status()
        return True

    def _sqlite_rows(self) -> list[Mapping[str, Any]]:
        with contextlib.closing(sqlite3.connect(f"file:{self._data_dir / DATABASE_FILE}?mode=ro", uri=True)) as conn:
            conn.row_factory = sqlite3.Row
            return [dict(row) for row in conn.execute("SELECT * FROM credentials")]

    def _postgres_rows(self) -> list[Mapping[str, Any]]:
        async def read() -> list[Mapping[str, Any]]:
            conn = await asyncpg.connect(self._url)
            try:
                return [dict(row) for row in await conn.fetch("SELECT * FROM credentials")]
            finally:
                await conn.close()

        return asyncio.run(read())


@contextmanager
def changing(vault: Vault, server: Server, seed: str) -> Iterator[None]:
    """Create and change credentials on the server, one after the other, until the block ends."""
    over, chance = threading.Event(), random.Random(seed)

    def work() -> None:
        number = 0
        while not over.wait(PAUSE_SECONDS):
            number += 1
            value = f"{seed}-{number}"
            if chance.random() < 0.5:
                vault.create(server, f"made-{value}", value)
            else:
                vault.change(server, chance.choice(vault.acknowledged), value)

    thread = threading.Thread(target=work, name="changing")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def fill(vault: Vault, server: Server, count: int) -> None:
    """Store so many credentials."""
    for number in range(count):
        assert vault.create(server, f"c{number}", f"value-{number}")
