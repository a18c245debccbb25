"""The chaos campaign: `make chaos` kills what an installation on a Ray cluster is made of, under load, and reports.

A run of everything writes docs/reliability.md and build/chaos.json; the exit code is 1 where anything was lost, stuck
or duplicated, or went on later than it should.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos.campaign import Row, run
from tests.chaos.faults import FAULTS
from tests.chaos.partition import PARTITION, open_divided
from tests.chaos.report import Report, write
from tests.chaos.stage import open_stage
from tests.servers import PostgresServer, new_database

KILLS = 20
#: The default of a server.
LEASE_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments choose."""
    chosen = _parse(arguments)
    report = Report(chosen.seed, chosen.lease_seconds)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="budflow-chaos-")))
        postgres = PostgresServer.start()
        stack.callback(postgres.stop)
        for row in _rows(chosen, directory, postgres):
            _add(report, row)
    _tell(report.text())
    if not chosen.faults:
        write(report)
    return 1 if report.faults else 0


def _rows(chosen: argparse.Namespace, directory: Path, postgres: PostgresServer) -> Iterator[Row]:
    """Every fault on a Ray cluster, and the partition on a stage of its own."""
    names = chosen.faults or [*FAULTS, PARTITION.name]
    if on_ray := [name for name in names if name in FAULTS]:
        url = asyncio.run(new_database(postgres))
        with open_stage(directory / "ray", url, lease_seconds=chosen.lease_seconds) as stage:
            for name in on_ray:
                yield run(stage, FAULTS[name], kills=chosen.kills, seed=chosen.seed)
    if PARTITION.name in names:
        url = asyncio.run(new_database(postgres))
        with open_divided(directory / "divided", url, lease_seconds=chosen.lease_seconds) as divided:
            yield run(divided, PARTITION, kills=chosen.kills, seed=chosen.seed)


def _add(report: Report, row: Row) -> None:
    report.rows.append(row)
    verdict = row.verdict
    _tell(
        f"{'FAILED' if row.faults else 'ok':6} {row.fault}: {verdict.kills} kills, {verdict.executions} executions, "
        f"{verdict.resumed} resumed, p50 {row.p50_seconds or 0:.2f} s, p99 {row.p99_seconds or 0:.2f} s, "
        f"goal {row.goal_seconds:g} s"
    )
    for finding in (*row.faults, *verdict.findings):
        _tell(f"       {finding}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--kills", type=int, default=KILLS, help="of each fault")
    parser.add_argument("--lease-seconds", type=float, default=LEASE_SECONDS)
    parser.add_argument(
        "--faults", nargs="+", choices=[*FAULTS, PARTITION.name], help="only these; nothing is written then"
    )
    return parser.parse_args(arguments)


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
