"""The crash matrix: `make crash-matrix` kills real servers at every transition and at random, and reports the sums.

SQLite and PostgreSQL are tried side by side. A run of everything writes docs/reliability.md and
build/crash_matrix.json; the exit code is 1 where anything was lost, stuck or duplicated.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.crash.lane import IN_FLIGHT, RECOVERY_POINTS, Lane, cuts, kills, open_lane, shared
from tests.crash.load import Load, under_load
from tests.crash.report import Report, Row, write
from tests.crash.server import running_server
from tests.crash.shape import SHAPES, Shape
from tests.servers import PostgresServer, new_database

DATABASES = ("SQLite", "PostgreSQL")
LOAD_SECONDS = 45.0
PER_SECOND = 8.0
RANDOM, TWO_MAINS = "random, under load", "random, two mains"


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments choose."""
    chosen = _parse(arguments)
    report = Report(chosen.seed)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="budflow-crash-")))
        postgres = stack.enter_context(_postgres()) if "PostgreSQL" in chosen.databases else None
        with ThreadPoolExecutor(len(DATABASES), thread_name_prefix="lane") as pool:
            for done in [
                pool.submit(_run_lane, database, directory / database, postgres, chosen, report)
                for database in chosen.databases
            ]:
                done.result()
    _tell(report.text())
    if not (chosen.shapes or chosen.points) and len(chosen.databases) == len(DATABASES):
        write(report)
    return 0 if report.total.clean else 1


def _run_lane(
    database: str, directory: Path, postgres: PostgresServer | None, chosen: argparse.Namespace, report: Report
) -> None:
    url = asyncio.run(new_database(postgres)) if postgres is not None and database == "PostgreSQL" else None
    shapes = [SHAPES[name] for name in chosen.shapes or SHAPES]
    load = Load(chosen.load_seconds, PER_SECOND, chosen.seed)
    with open_lane(database.lower(), directory, url) as lane:
        for shape in shapes:
            for row in _trials(lane, shape, database, chosen.points):
                _add(report, row)
        if not load.seconds:
            return
        verdict = under_load([lane.server], lane.ledger, lane.orders, load, f"{database} {RANDOM}")
        _add(report, Row(database, RANDOM, None, verdict))
        if url is not None:
            with running_server(directory / "second", **shared(url, directory)) as second:
                both = [lane.server, second]
                verdict = under_load(both, lane.ledger, lane.orders, load, f"{database} {TWO_MAINS}")
            _add(report, Row(database, TWO_MAINS, None, verdict))


def _trials(lane: Lane, shape: Shape, database: str, points: Sequence[str] | None) -> Iterator[Row]:
    """Every trial of one shape: without a fault, killed, killed twice, with the database gone."""
    verdict, found = lane.points(shape)
    yield Row(database, shape.name, None, verdict)
    for fault in kills(found):
        if not points or fault.point in points:
            yield Row(database, shape.name, fault, lane.crash([shape], fault))
    for fault in RECOVERY_POINTS if found else ():
        if not points or fault.point in points:
            yield Row(database, shape.name, fault, lane.crash([shape], IN_FLIGHT, fault))
    for fault in cuts(found):
        if not points or fault.point in points:
            verdict, _ = lane.cut([shape], fault)
            yield Row(database, shape.name, fault, verdict)


def _add(report: Report, row: Row) -> None:
    report.rows.append(row)
    verdict = row.verdict
    outcome = "ok" if verdict.clean else "FAILED"
    _tell(f"{outcome:6} {row.database} {row.shape} {row.fault or ''} kills {verdict.kills} resumed {verdict.resumed}")
    for finding in verdict.findings:
        _tell(f"       {finding}")


@contextlib.contextmanager
def _postgres() -> Iterator[PostgresServer]:
    server = PostgresServer.start()
    try:
        yield server
    finally:
        server.stop()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.matrix", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--shapes", nargs="+", choices=[*SHAPES], help="only these; nothing is written then")
    parser.add_argument("--points", nargs="+", help="only these fault points, such as node.finished store.claim")
    parser.add_argument("--load-seconds", type=float, default=LOAD_SECONDS, help="of each random part; 0: none")
    return parser.parse_args(arguments)


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
