"""database_url: where a database is and who connects to it."""

import pytest
from pydantic import ValidationError

from budflow.credentials.kinds.database_url import DatabaseUrl
from budflow.model.redaction import Redaction


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reports:pw@db.example.com:5432/sales?sslmode=verify-full",
        "postgresql+asyncpg://reports:p%40ss@db.example.com/sales",
        "mysql://root@127.0.0.1/x",
        "MSSQL://sa:pw@[2001:db8::1]:1433/x",
        "mongodb+srv://u:p@cluster0.abc.mongodb.net/x",
        "mongodb://u:p@a.example:27017,b.example:27018/x?replicaSet=rs",
        "rediss://:pw@cache.example:6380/0",
    ],
)
def test_addresses_of_databases_are_taken(url: str) -> None:
    assert DatabaseUrl.model_validate({"url": url}).url.reveal() == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:////etc/canary",
        "file:///etc/canary",
        "https://u:canary@host/x",
        "postgresql:u:canary@host",
        "postgresql:///canary",
        "postgresql://u:canary@/x",
        "postgresql://u:canary@:5432/x",
        "mysql://u:can/ary@host/db",
        "mysql://u:canary@host:port/db",
        "mysql://u:canary@ho st/db",
        "mysql://u:canary@host\n/db",
        "mysql://u:canary@host,/db",
        "postgresql://u:canary@-evil/x",
    ],
)
def test_others_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DatabaseUrl.model_validate({"url": url})

    assert "canary" not in str(refused.value)


def test_it_signs_no_requests() -> None:
    assert not DatabaseUrl.signs()


@pytest.mark.parametrize(
    "text",
    [
        "connect to postgresql://u:can%40ary-1@db.example/x failed",
        "password authentication failed: can@ary-1",
        "password authentication failed: can%40ary-1",
    ],
)
def test_the_password_is_masked_as_it_is_written_and_as_it_is_meant(text: str) -> None:
    kind = DatabaseUrl.model_validate({"url": "postgresql://u:can%40ary-1@db.example/x"})

    assert "ary-1" not in Redaction(kind.secrets()).text(text)


def test_a_password_in_the_query_is_masked_too() -> None:
    kind = DatabaseUrl.model_validate({"url": "postgresql://u@db.example/x?sslmode=require&sslPassword=can%40ary+2"})
    redaction = Redaction(kind.secrets())

    for told in ("can%40ary+2", "can@ary 2", "can@ary+2"):
        assert redaction.text(f"it says {told} there") == "it says *** there"
    assert redaction.text("sslmode=require") == "sslmode=require"


def test_an_address_without_a_password_is_a_secret_all_the_same() -> None:
    assert list(DatabaseUrl.model_validate({"url": "mysql://root@127.0.0.1/x"}).secrets()) == [
        "mysql://root@127.0.0.1/x"
    ]
