"""`python -m benchmarks.claimer URL CLAIMERS LIMIT`: claimers in a process of their own, each with its own store.

Says `ready`, waits for a line on stdin, claims until the queue is empty, and writes as JSON how many executions each
look gave and how many seconds it took.
"""

import asyncio
import sys
import time

import orjson

from budflow.model.identity import new_id
from budflow.storage.postgres.store import PostgresStore


async def main() -> None:
    """Open the stores, wait for the start, claim."""
    url, claimers, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    stores = [await PostgresStore.open(url) for _ in range(claimers)]
    for store in stores:
        await store.count_queued()  # Its first connection is open.
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    looks = await asyncio.gather(*(_claim_all(store, limit) for store in stores))
    print(orjson.dumps([look for some in looks for look in some]).decode(), flush=True)
    for store in stores:
        await store.close()


async def _claim_all(store: PostgresStore, limit: int) -> list[tuple[int, float]]:
    runner = new_id("run")
    looks: list[tuple[int, float]] = []
    while True:
        began = time.perf_counter()
        claims = await store.claim(runner, limit=limit)
        looks.append((len(claims), time.perf_counter() - began))
        if not claims and not await store.count_queued():
            return looks


if __name__ == "__main__":
    asyncio.run(main())
