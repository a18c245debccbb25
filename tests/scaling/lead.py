"""A process that leads when it may: `python -m tests.scaling.lead NAME LEDGER`, with settings from the environment.

Its one duty writes a line to the ledger every few milliseconds. Prints a line when it tries to lead; ends on SIGTERM.
"""

import asyncio
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from budflow import log
from budflow.scaling.open import open_wakes
from budflow.scaling.open_leader import open_leader
from budflow.services.leader_ports import Leading
from budflow.settings import Settings
from budflow.storage.open import open_store

ACT_SECONDS = 0.003


async def act(ledger: int, name: str, leading: Leading) -> None:
    """Every line is one write: when it was by the clock of the machine, who, and by which token."""
    while True:
        # First the time, then the question: who is frozen between the question and the write did lead at that time.
        at = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        leading.require()
        os.write(ledger, f"{at} {name} {leading.token}\n".encode())
        await asyncio.sleep(ACT_SECONDS)


async def main(name: str, path: Path) -> None:
    """Lead, or wait to, until SIGTERM."""
    settings = Settings()
    log.configure(settings.log_level)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store = await open_store(settings.database_url, settings.data_dir)
    async with open_wakes(settings, store) as wakes:
        leader = await open_leader(settings, store, wakes, name)
        leader.start(partial(act, ledger, name))
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await told.wait()
        await leader.stop()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
