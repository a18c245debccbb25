"""Many fail-overs with short leases: `BUDFLOW_LEADER_FAIL_OVERS=200 pytest tests/scaling/test_fail_over_campaign.py`.

The leader is killed, frozen or told to stop, at random; each time another must lead, and in the ledger of what was done
all have acted one after the other. The figures are written to build/leader.json.
"""

import json
import os
import signal
from collections import defaultdict
from pathlib import Path
from random import Random
from statistics import median, quantiles

import pytest

from tests.scaling.candidates import candidates
from tests.servers import RedisServer

FAIL_OVERS = int(os.environ.get("BUDFLOW_LEADER_FAIL_OVERS", "0"))
SECONDS = 0.4
#: Later than the lease and this is late; on a machine with other work a few may be.
LATE_SECONDS = 1.0
LATE_MAX = 0.02
FIGURES = Path(__file__).parents[2] / "build" / "leader.json"

__test__ = FAIL_OVERS > 0  # Else nothing of this module is collected.
pytestmark = [pytest.mark.process, pytest.mark.postgres, pytest.mark.redis]


@pytest.mark.parametrize("lease", ["database", "redis"])
def test_every_time_another_leads(lease: str, postgres_url: str, redis_server: RedisServer, tmp_path: Path) -> None:
    settings = {"BUDFLOW_DATABASE_URL": postgres_url, "BUDFLOW_LEADER_SECONDS": str(SECONDS)}
    if lease == "redis":
        settings["BUDFLOW_REDIS_URL"] = redis_server.url()
    random, taken = Random(lease), defaultdict[str, list[float]](list)
    with candidates(tmp_path, count=3, **settings) as group:
        for _ in range(FAIL_OVERS):
            group.await_alive(2)
            leader = group.leader()
            fault = random.choice(("kill", "freeze", "stop"))
            if fault == "freeze":
                at = leader.tell(signal.SIGSTOP)
            else:
                at = group.end(leader, signal.SIGKILL if fault == "kill" else signal.SIGTERM)
            taken[fault].append(group.first_act(at, but=leader.name).at - at)
            if fault == "freeze":
                leader.tell(signal.SIGCONT)
            else:
                group.begin()
        acts = len(group.look())
    late = sum(seconds > SECONDS + LATE_SECONDS for times in taken.values() for seconds in times)
    _write(lease, {fault: _figures(times) for fault, times in taken.items()} | {"late": late, "acts": acts})
    assert late <= LATE_MAX * FAIL_OVERS


def _figures(seconds: list[float]) -> dict[str, float]:
    """How long it took until another acted as leader."""
    p99 = quantiles(seconds, n=100)[98] if len(seconds) > 1 else seconds[0]
    figures = {"median": median(seconds), "p99": p99, "max": max(seconds)}
    return {"count": len(seconds)} | {name: round(value, 3) for name, value in figures.items()}


def _write(lease: str, figures: dict[str, object]) -> None:
    FIGURES.parent.mkdir(exist_ok=True)
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.write_text(json.dumps(known | {lease: {"lease_seconds": SECONDS, **figures}}, indent=2) + "\n")
