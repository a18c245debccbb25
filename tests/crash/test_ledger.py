"""The ledger: the oracle must itself be right about what it was asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.crash.ledger import Effect, RunningLedger, running_ledger

pytestmark = pytest.mark.process


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[RunningLedger]:
    with running_ledger(tmp_path) as running:
        yield running


def deliver(ledger: RunningLedger, key: str, **body: Any) -> httpx2.Response:
    told = {"order": "o1", "node": "pay", "item": "", **body}
    return httpx2.post(f"{ledger.url}/effects", json=told, headers={"Idempotency-Key": key})


def test_a_repeated_key_gets_the_first_answer_and_counts_as_delivered_twice(ledger: RunningLedger) -> None:
    first, again = deliver(ledger, "k1"), deliver(ledger, "k1")

    assert again.json() == first.json()
    seen = ledger.effects()[Effect("o1", "pay", "")]
    assert (seen.count, seen.keys, seen.doubled) == (2, {"k1"}, False)


def test_one_effect_under_two_keys_is_doubled(ledger: RunningLedger) -> None:
    deliver(ledger, "k1")
    deliver(ledger, "k2")

    assert ledger.effects()[Effect("o1", "pay", "")].doubled


def test_effects_of_other_items_are_other_effects(ledger: RunningLedger) -> None:
    deliver(ledger, "k1", item="1")
    deliver(ledger, "k2", item="2")

    assert not any(seen.doubled for seen in ledger.effects().values())


def test_a_refused_request_is_no_delivery(ledger: RunningLedger) -> None:
    assert deliver(ledger, "k1", refuse=1).status_code == 503
    assert not ledger.effects()

    assert deliver(ledger, "k1", refuse=1).status_code == 200
    assert ledger.effects()[Effect("o1", "pay", "")].count == 1
