"""A chain of ten light nodes, from its admission to its end, on a Ray runner actor against in process, by turns.

Both go through the same supervisor over a store in memory, so the difference is what Ray costs: one hop there, one
back, and the events as bytes.
"""

import asyncio
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure, milliseconds
from budflow.app import Runtime, open_temporary
from budflow.model.item import ItemList
from budflow.model.principal import OWNER
from budflow.runner import open_runner
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.trigger_workflow import TriggerEvent, trigger_workflow
from budflow.settings import Settings
from ray_jobs.open import open_ray

TITLE = "A 10-node chain on Ray"
ROUNDS = 200
KEYS = ["start", *(f"n{number}" for number in range(10))]
DOCUMENT = {
    "format": 1,
    "name": "Chain",
    "nodes": {
        "start": {"type": "trigger.manual"},
        **{key: {"type": "data.set", "params": {"values": {"x": "{{ $json.x + 1 }}"}}} for key in KEYS[1:]},
    },
    "edges": [{"from": one, "to": other} for one, other in pairwise(KEYS)],
}


async def measure() -> list[Figure]:
    """Run the chain on both executors by turns."""
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        settings = Settings(data_dir=Path(folder), ray_dashboard=False)
        async with open_temporary(settings) as runtime:
            saved = await create_workflow(runtime.services, OWNER, CreateWorkflow(document=DOCUMENT))
            supervisor = runtime.services.supervisor
            began = time.perf_counter()
            ray = await asyncio.to_thread(open_ray, settings, supervisor.runner, open_runner)
            started = time.perf_counter() - began
            times: dict[str, list[float]] = {"inprocess": [], "ray": []}
            for _ in range(ROUNDS):
                times["inprocess"].append(await run_once(runtime, saved.workflow.id))
                inprocess = supervisor.use(ray)
                times["ray"].append(await run_once(runtime, saved.workflow.id))
                supervisor.use(inprocess)
            await ray.close()
    more = median(times["ray"]) - median(times["inprocess"])
    return [
        Figure("Ray up (after the server is ready)", f"{started:.1f} s"),
        Figure("in process", milliseconds(times["inprocess"])),
        Figure("on Ray", milliseconds(times["ray"])),
        Figure("Ray costs", f"{more * 1000:.1f} ms more", "≤ 5 ms", more <= 0.005),
    ]


async def run_once(runtime: Runtime, workflow_id: str) -> float:
    """One execution to its end."""
    began = time.perf_counter()
    event = TriggerEvent(workflow_id, ItemList.of([{"x": 0}]), "api", version=1, durable=False)
    triggered = await trigger_workflow(runtime.services, OWNER, event)
    assert triggered.active is not None
    await triggered.active.ended
    spent = time.perf_counter() - began
    assert triggered.active.result().to_json() == [{"x": 10}]
    return spent
