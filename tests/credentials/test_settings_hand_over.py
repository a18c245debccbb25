"""Handing settings over: whole to whom they are sealed for, once, and nothing of them to anybody else."""

import base64
import copy
import pickle
from pathlib import Path

import pytest

from budflow.credentials.settings_hand_over import Given, SettingsNotHandedOver, SettingsReceiver, seal_settings
from budflow.model.secret import SecretUnserializable
from budflow.settings import Settings
from tests.credentials.samples import all_that_an_error_shows, key_text

INFO = b"runner 1"
PASSWORD = "canary-3b1f"
GIVEN = Given(
    Settings(
        database_url=f"postgresql://budflow:{PASSWORD}@db.example/budflow",
        redis_url=f"redis://:{PASSWORD}@redis.example/0",
        encryption_keys=(key_text(1), key_text(2)),
        data_dir=Path("/srv/budflow"),
        file_roots=(Path("/srv/files"),),
        http_allow=("10.0.0.0/8",),
        lease_seconds=1.5,
    ),
    {"AWS_SECRET_ACCESS_KEY": PASSWORD},
)


def test_what_is_opened_is_what_was_sealed_whatever_is_set_over_there(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = SettingsReceiver(INFO)
    sealed = seal_settings(GIVEN, receiver.public_key, INFO)
    monkeypatch.setenv("BUDFLOW_DATABASE_URL", "postgresql://elsewhere/budflow")
    monkeypatch.setenv("BUDFLOW_BLOB_URL", "file:///elsewhere")

    assert receiver.open(sealed) == GIVEN
    assert PASSWORD.encode() not in sealed
    assert base64.b64encode(PASSWORD.encode()) not in sealed


def test_they_are_opened_once_and_by_nobody_else() -> None:
    receiver, other = SettingsReceiver(INFO), SettingsReceiver(INFO)
    sealed = seal_settings(GIVEN, receiver.public_key, INFO)
    with pytest.raises(SettingsNotHandedOver):
        other.open(sealed)
    receiver.open(sealed)

    with pytest.raises(SettingsNotHandedOver):
        receiver.open(sealed)


def test_they_are_bound_to_their_purpose() -> None:
    receiver = SettingsReceiver(INFO)

    with pytest.raises(SettingsNotHandedOver):
        receiver.open(seal_settings(GIVEN, receiver.public_key, b"runner 2"))


def test_what_is_no_public_key_gets_nothing() -> None:
    with pytest.raises(SettingsNotHandedOver) as caught:
        seal_settings(GIVEN, b"k" * 31, INFO)
    assert PASSWORD not in all_that_an_error_shows(caught.value)


def test_settings_of_another_release_are_refused_without_showing_them() -> None:
    newer = Given(Settings.model_construct(**{**dict(GIVEN.settings), "port": -1}), GIVEN.variables)
    receiver = SettingsReceiver(INFO)

    with pytest.raises(SettingsNotHandedOver) as caught:
        receiver.open(seal_settings(newer, receiver.public_key, INFO))
    assert PASSWORD not in all_that_an_error_shows(caught.value)


def test_a_receiver_can_neither_be_pickled_nor_copied() -> None:
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(SecretUnserializable):
            write(SettingsReceiver(INFO))


def test_what_is_given_does_not_show_its_secrets() -> None:
    assert repr(GIVEN) == "Given()"
