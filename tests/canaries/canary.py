"""Canaries: unique secrets, every form in which one could leak, and the search for them in whatever a server left."""

import base64
import contextlib
import json
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import zstandard

#: Frames of zstd begin with this: blobs and large payloads are compressed, and are searched as what they hold.
_ZSTD = b"\x28\xb5\x2f\xfd"
_SQLITE = b"SQLite format 3\0"


def new_canary(prefix: str, odd: str = "") -> str:
    """A secret that stands nowhere by chance; `odd` are characters that are escaped in URLs and in JSON."""
    return f"{prefix}{odd}{secrets.token_hex(12)}"


def forms_of(canary: str) -> dict[str, bytes]:
    """The canary plain, in base64 at each alignment, in hex, URL-encoded and JSON-escaped, by the form's name."""
    data = canary.encode()
    forms = {
        "plain": data,
        "hex": data.hex().encode(),
        "HEX": data.hex().upper().encode(),
        "url": quote(canary, safe="").encode(),
        "url path": quote(canary).encode(),
        "url form": quote_plus(canary).encode(),
        "json": json.dumps(canary)[1:-1].encode(),
        "json utf-8": json.dumps(canary, ensure_ascii=False)[1:-1].encode(),
    }
    for shift in range(3):
        first, whole = -(-shift * 8 // 6), (shift + len(data)) * 8 // 6
        forms[f"base64 +{shift}"] = base64.b64encode(b"\0" * shift + data)[first:whole]
        forms[f"base64url +{shift}"] = base64.urlsafe_b64encode(b"\0" * shift + data)[first:whole]
    return forms


@dataclass(slots=True)
class Search:
    """Looks for every form of every canary; `hits` say what was found where, and `searched` counts bytes."""

    canaries: Iterable[str]
    hits: list[str] = field(default_factory=list)
    searched: int = 0
    _forms: list[tuple[str, str, bytes]] = field(init=False)

    def __post_init__(self) -> None:
        self._forms = [(canary, name, form) for canary in self.canaries for name, form in forms_of(canary).items()]

    def data(self, where: str, data: bytes) -> None:
        """Search some bytes, and what is compressed in them."""
        for part in (data, *_unpacked(data)):
            self.searched += len(part)
            self.hits.extend(f"{where}: {canary} as {name}" for canary, name, form in self._forms if form in part)

    def files(self, directory: Path) -> None:
        """Search every file below a directory, its name included."""
        for path in sorted(directory.rglob("*")):
            self.data(f"the name of {path}", str(path).encode())
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                self.data(str(path), data)
                if data.startswith(_SQLITE):
                    self._rows(path)

    def _rows(self, path: Path) -> None:
        """Search a database value by value: in its file a long one stands in pieces."""
        with contextlib.closing(sqlite3.connect(path)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for row in database.execute(f'SELECT * FROM "{table}"'):
                    for value in row:
                        if isinstance(value, str | bytes):
                            self.data(f"{path.name}, {table}", value if isinstance(value, bytes) else value.encode())


def _unpacked(data: bytes) -> Iterator[bytes]:
    start = data.find(_ZSTD)
    while start >= 0:
        with contextlib.suppress(zstandard.ZstdError):  # Else these four bytes begin something else.
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[start:])
        start = data.find(_ZSTD, start + 4)
