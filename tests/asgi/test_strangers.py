"""Strangers are told what was written for them; of all else they get an id, and the log the rest."""

import logging

import pytest

from budflow.asgi.strangers import Unavailable, for_strangers
from budflow.log import get_log
from budflow.model.execution import ExecutionNotFound, QueueFull
from budflow.storage.errors import StorageUnavailable

log = get_log("budflow.asgi.test")


def test_an_error_that_was_written_for_them_is_told() -> None:
    error = ExecutionNotFound("Not there.")

    assert for_strangers(error, (ExecutionNotFound,), log, "x.failed") is error


def test_of_another_only_an_id_is_told_that_the_log_has_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        told = for_strangers(ValueError("canary"), (QueueFull,), log, "x.failed")

    assert told.code == "server.internal_error"
    assert "canary" not in str(told.details) + told.message
    [record] = caplog.records
    assert told.details["error_id"] in str(record.__dict__)


def test_a_server_that_cannot_now_says_so() -> None:
    assert isinstance(for_strangers(StorageUnavailable(), (), log, "x.failed"), Unavailable)
