"""The file with the encryption keys that a server made itself: whole at every moment, and for its owner alone."""

import base64
import binascii
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from budflow.errors import BudflowError
from budflow.log import get_log

KEYS_FILE = "encryption.keys"
KEY_BYTES = 32
FILE_BYTES_MAX = 64 * 1024
KEY_ID_HEX_DIGITS = 16

_REPLACED_LINE = "# Replaced. The next rotation removes those below that nothing is encrypted with any more."
_ID_DOMAIN = b"budflow encryption key id\x00"

log = get_log(__name__)


class EncryptionKeysInvalid(BudflowError):
    """The encryption keys cannot be read."""

    code = "encryption.keys_invalid"
    http_status = 500
    hint = (
        "Each key is 32 random bytes in base64, as `openssl rand -base64 32` makes one: in `BUDFLOW_ENCRYPTION_KEYS` "
        "separated by commas, in the file `encryption.keys` one a line, the newest first and none twice."
    )


class EncryptionKeysExposed(BudflowError):
    """Others may read the file with the encryption keys."""

    code = "encryption.keys_exposed"
    http_status = 500
    hint = "`chmod 600` it, and if somebody may have read it run `budflow credential rotate-key` then."


class EncryptionKeysUnwritable(BudflowError):
    """The file with the encryption keys cannot be written."""

    code = "encryption.keys_unwritable"
    http_status = 500
    hint = "Make the data directory writable, with free space, or set `BUDFLOW_ENCRYPTION_KEYS`."


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """An AES-256 key of the server; `id` is not secret."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> "EncryptionKey":
        """Its id is a hash of it, with a domain of its own so that it equals no other hash of a key."""
        return cls(hashlib.sha256(_ID_DOMAIN + secret).hexdigest()[:KEY_ID_HEX_DIGITS], secret)

    @classmethod
    def made(cls) -> "EncryptionKey":
        """A random one."""
        return cls.of(secrets.token_bytes(KEY_BYTES))


@dataclass(frozen=True, slots=True)
class KeyList:
    """`current`, newest first: more than one while a rotation has not ended. `replaced` are those of older rotations,
    kept as long as something may be encrypted with them.
    """

    current: tuple[EncryptionKey, ...] = ()
    replaced: tuple[EncryptionKey, ...] = ()

    @property
    def all(self) -> tuple[EncryptionKey, ...]:
        """Newest first."""
        return self.current + self.replaced


class KeyFile:
    """`encryption.keys` in the data directory, which several processes may read and change."""

    def __init__(self, data_dir: Path) -> None:
        """Reads and makes nothing."""
        self.path = data_dir / KEYS_FILE
        self._seen: tuple[int, ...] | None = None
        self._keys = KeyList()
        self._taken: tuple[EncryptionKey, ...] = ()
        self._tried: tuple[int, ...] | None = None

    def read(self) -> KeyList:
        """What stands in it now, and behind it what somebody else took out of it since this object was made.

        Where an operator restores an older file the keys that he overwrites may be nowhere else.
        Raises EncryptionKeysInvalid and EncryptionKeysExposed.
        """
        try:
            seen = _fingerprint(self.path.stat())
            if seen != self._seen:
                loaded, self._seen = self._load()
                there = {key.id for key in loaded.all}
                self._taken = tuple(key for key in self._keys.all + self._taken if key.id not in there)
                self._keys = loaded
        except FileNotFoundError:
            self._seen = None
        except OSError as error:
            raise EncryptionKeysInvalid(f"{self.path} cannot be read: {error.strerror}.") from error
        return KeyList(self._keys.current, self._keys.replaced + self._taken)

    def restored(self) -> KeyList:
        """The same, after an attempt to write what was taken out into it again. The next rotation removes what of it
        nothing needs.
        """
        keys = self.read()
        if self._taken and self._tried != self._seen:
            self._tried = self._seen  # Once: an opening of a credential shall not wait for a disk that is full.
            try:
                return self.change(lambda there: there)
            except EncryptionKeysUnwritable as error:
                log.warning("encryption.keys_not_put_back", keys=_ids(self._taken), message=error.message)
        return keys

    def with_a_key(self) -> KeyList:
        """The same with at least one key, which is made where there is none. Raises EncryptionKeysUnwritable too."""
        keys = self.read()
        if self._seen is not None and keys.current and not self._taken:
            return keys
        return self.change(lambda there: there if there.current else KeyList((EncryptionKey.made(),), there.replaced))

    def change(self, change: Callable[[KeyList], KeyList]) -> KeyList:
        """Replace what stands in it by `change` of it, which no other process does at the same time.

        The file is whole at every moment, and durable when this returns. Raises what `with_a_key` does.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                before = self.read()
                after = change(before)
                if after != before or self._taken or self._seen is None:
                    self._replace(after)
                    if self._taken:
                        log.warning("encryption.keys_put_back", keys=_ids(self._taken), path=str(self.path))
                    self._keys, self._taken = after, ()
        except OSError as error:
            raise EncryptionKeysUnwritable(f"{self.path} cannot be written: {error.strerror}.") from error
        return self.read()

    def _load(self) -> tuple[KeyList, tuple[int, ...]]:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            content = file.read(FILE_BYTES_MAX + 1)
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            raise EncryptionKeysExposed(f"{self.path} has mode {mode:o}: others may read it.", path=str(self.path))
        return self._parsed(content), _fingerprint(status)

    def _parsed(self, content: bytes) -> KeyList:
        # What is no ASCII is no base64 either; read so that it is refused by the number of its line.
        current, _, replaced = content.decode("ascii", "replace").partition(_REPLACED_LINE)
        lines = [_lines(current), _lines(replaced)]
        keys = parse_keys([line for part in lines for line in part], f"of {self.path}")
        if not lines[0] or len(content) > FILE_BYTES_MAX:
            raise EncryptionKeysInvalid(f"{self.path} is {'empty' if not lines[0] else 'too long'}.")
        return KeyList(keys[: len(lines[0])], keys[len(lines[0]) :])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A lock beside it: the file itself is another one after each change.
        descriptor = os.open(self.path.with_name(f"{KEYS_FILE}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _replace(self, keys: KeyList) -> None:
        lines = [_line(key) for key in keys.current]
        if keys.replaced:
            lines += [_REPLACED_LINE, *map(_line, keys.replaced)]
        # Always the same name, so that what a killed process left is overwritten and not kept beside.
        draft = self.path.with_name(f"{KEYS_FILE}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(draft, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write("".join(f"{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(descriptor)
        draft.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def known_keys(data_dir: Path) -> tuple[SecretStr, ...]:
    """The keys that a server made itself, as it could have been given them, newest first; none without a file.

    Raises EncryptionKeysInvalid and EncryptionKeysExposed.
    """
    return tuple(SecretStr(_line(key)) for key in KeyFile(data_dir).read().all)


def parse_keys(texts: Sequence[str], where: str) -> tuple[EncryptionKey, ...]:
    """Keys from base64 (RFC 4648, 4). Raises EncryptionKeysInvalid, which names a key by its number only."""
    keys: list[EncryptionKey] = []
    for number, text in enumerate(texts, 1):
        try:
            secret = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != KEY_BYTES:
            raise EncryptionKeysInvalid(f"Key {number} {where} is not {KEY_BYTES} bytes in base64.")
        keys.append(EncryptionKey.of(secret))
        if len({key.id for key in keys}) < number:
            raise EncryptionKeysInvalid(f"Key {number} {where} stands there twice.")
    return tuple(keys)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _ids(keys: Sequence[EncryptionKey]) -> list[str]:
    return [key.id for key in keys]


def _line(key: EncryptionKey) -> str:
    return base64.b64encode(key.secret).decode()


def _fingerprint(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
