"""A case in a process of its own: what one leaves behind, such as the token of its Ray, bothers no other."""

import asyncio
import importlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.figure import Figure


def measured(name: str) -> list[Figure]:
    """The figures of the case of this name. Raises what it raises."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_measure, name).result()


def _measure(name: str) -> list[Figure]:
    figures: list[Figure] = asyncio.run(importlib.import_module(f"benchmarks.cases.{name}").measure())
    return figures
