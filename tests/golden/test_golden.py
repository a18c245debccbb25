"""Golden journals: what this release writes for known workflows, and that it reads what every release has written.

`workflows/NAME` holds a workflow, its items and the journal that this release writes, without what varies: written
anew by `BUDFLOW_GOLDEN=write`. `journals/RELEASE` holds journals as that release wrote them: never changed.
"""

import asyncio
import os
from pathlib import Path

import orjson
import pytest

from budflow.execution.advance import fold
from budflow.model import event as e
from tests.execution.simulated_loop import simulate
from tests.golden.shapes import HERE, admitted, events_of, plan_of, play, stream

WORKFLOWS = sorted((HERE / "workflows").iterdir())
JOURNALS = sorted((HERE / "journals").glob("*/*"))


@pytest.mark.parametrize("folder", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_writes_the_journal_that_is_kept(folder: Path) -> None:
    document, items = (orjson.loads((folder / name).read_bytes()) for name in ("workflow.json", "items.json"))
    written: list[e.Event] = []

    async def run() -> None:
        written.extend((await play(document, [admitted(items)])).events)
        await asyncio.sleep(1)  # Timers that linger go off.

    simulate(run())  # A wait ends when nothing else is to do, however slow the machine is.

    lines = "".join(orjson.dumps(shape).decode() + "\n" for shape in stream(written))
    if os.environ.get("BUDFLOW_GOLDEN") == "write":
        (folder / "journal.jsonl").write_text(lines)

    assert lines == (folder / "journal.jsonl").read_text()


@pytest.mark.parametrize("folder", JOURNALS, ids=lambda path: f"{path.parent.name} {path.name}")
async def test_what_an_older_release_wrote_is_read_and_gone_on_with(folder: Path) -> None:
    document = orjson.loads((folder / "workflow.json").read_bytes())
    events = events_of(folder / "journal.jsonl")
    end = events[-1]
    assert isinstance(end, e.Finished)
    state = fold(plan_of(document), events)
    assert (state.phase, state.outcome) == ("ended", end.status)

    for length in range(1, len(events)):
        resumed = await play(document, events[:length])
        assert resumed.end.status == end.status, f"from {length}"
