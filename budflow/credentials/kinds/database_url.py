"""database_url: where a database is and who connects to it, in one address."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import unquote, unquote_plus

from pydantic import Field, field_validator

from budflow.model.credential_kind import CredentialKind, PingPostgres, Probed
from budflow.model.secret import Secret, SecretText

#: Databases across a network. Files of the server, such as SQLite's, are none that a credential may open.
SCHEMES = (
    "clickhouse",
    "mariadb",
    "mongodb",
    "mongodb+srv",
    "mssql",
    "mysql",
    "oracle",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "sqlserver",
)
POSTGRES = frozenset({"postgres", "postgresql"})

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?")


class DatabaseUrl(CredentialKind):
    """The address of a database with user and password: `SCHEME://USER:PASSWORD@HOST:PORT/DATABASE`."""

    name: ClassVar[str] = "database_url"

    url: Annotated[
        Secret,
        SecretText(
            min_length=8,
            max_length=4_096,
            pattern=r"^[^\x00-\x20\x7f]+$",
            meaning="It must be one address without spaces and control characters; such ones in a password are "
            "percent-encoded.",
        ),
    ] = Field(
        description="The whole address. Characters of the password such as @ : / are percent-encoded. The scheme is "
        f"one of {', '.join(SCHEMES)}; a driver may follow it, such as postgresql+asyncpg.",
        examples=["postgresql://reports:correct-horse@db.example.com:5432/sales?sslmode=verify-full"],
    )

    @field_validator("url")
    @classmethod
    def _leads_to_a_database(cls, url: Secret) -> Secret:
        scheme, separator, rest = url.reveal().partition("://")
        if not separator or (scheme.lower() not in SCHEMES and scheme.lower().partition("+")[0] not in SCHEMES):
            raise ValueError("The address must begin with a database's scheme, such as postgresql://.")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        # A cluster's hosts stand side by side.
        if not all(_HOST.fullmatch(host) for host in authority.rpartition("@")[2].split(",")):
            raise ValueError(
                "The address must name a host behind the user and password, such as …@db.example.com:5432."
            )
        return url

    async def check(self, ping_postgres: PingPostgres) -> Probed:
        """Whether a PostgreSQL database lets the user in; no other protocol is spoken here."""
        url = self.url.reveal()
        scheme = url.partition("://")[0].partition("+")[0].lower()
        if scheme not in POSTGRES:
            return Probed(None, f"No server was called: nothing here speaks {scheme}.")
        return await ping_postgres(url)

    def secrets(self) -> Iterator[str]:
        """The address, and the passwords in it, as they are written and as they are meant."""
        text = self.url.reveal()
        yield text
        authority = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
        passwords = [authority.rpartition("@")[0].partition(":")[2]]
        # Some drivers take them from the query as well, such as libpq `password` and `sslpassword`.
        for name, _, value in (pair.partition("=") for pair in text.partition("?")[2].split("&")):
            if "password" in name.lower():
                passwords.append(value)
        for password in filter(None, passwords):
            yield password
            if unquote_plus(password) != password:
                yield unquote_plus(password)
            if unquote(password) != unquote_plus(password):
                yield unquote(password)
