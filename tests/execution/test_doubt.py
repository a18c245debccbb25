"""An execution of which a person is asked waits for them like any other: without a server."""

import asyncio

from budflow.model import event as e
from tests.execution.story import POST, Story, document, told


async def asked(story: Story) -> None:
    """A server dies over a request, and the next one asks what is to become of it."""
    server = await story.begin(document("post", POST, on_crash="ask"))
    story.random.choice = lambda choices: choices[-1]  # type: ignore[method-assign,assignment] # every answer takes its time
    await story.submit([{}])
    await story.sees(e.NodeStarted)
    server.die()
    await story.new_server()
    await story.sees(e.WaitStarted)


@told
async def test_while_a_person_is_asked_no_server_has_the_execution(story: Story) -> None:
    await asked(story)
    await asyncio.sleep(3)

    row = await story.row()
    assert (row.status, row.waiting, row.runner) == ("waiting", "ask", None)
    assert not story.servers[-1].supervisor.holding.held

    await story.answer("run")
    await story.quiet()
    assert (await story.row()).status == "succeeded"


@told
async def test_the_answer_is_heard_by_a_server_that_did_not_ask(story: Story) -> None:
    await asked(story)
    await asyncio.sleep(3)
    story.servers[-1].die()
    await story.answer("skip")
    await story.new_server()
    await story.quiet()

    assert (await story.row()).status == "succeeded"
    assert len(await story.all(e.WaitStarted)) == 1


@told
async def test_what_is_taken_up_again_while_a_person_is_asked_is_given_back_again(story: Story) -> None:
    await asked(story)
    story.servers[-1].die()
    await story.new_server()
    await asyncio.sleep(3)

    row = await story.row()
    assert (row.status, row.waiting, row.runner) == ("waiting", "ask", None)
    await story.answer("run")


@told
async def test_paused_and_continued_while_a_person_is_asked_it_still_waits_without_a_server(story: Story) -> None:
    await asked(story)
    await asyncio.sleep(3)
    row = await story.row()
    await story.signal(row, e.Paused(row.created_at, "somebody"))
    await asyncio.sleep(3)

    assert len(await story.all(e.Paused)) == 1
    assert (await story.row()).waiting == "paused"
    await story.signal(row, e.Continued(row.created_at, "somebody"))
    await asyncio.sleep(3)
    assert (await story.row()).waiting == "ask"
    await story.answer("run")


@told
async def test_a_server_that_asks_a_person_stops_at_once(story: Story) -> None:
    await asked(story)
    server = story.servers[-1]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await server.ask(server.supervisor.stop(10))

    assert loop.time() - began < 1
    server.die()
    await story.new_server()
    await story.answer("run")


@told
async def test_cancelled_while_a_person_is_asked_it_ends_at_once(story: Story) -> None:
    await asked(story)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await story.cancel((await story.row()).id)
    await story.quiet()

    assert loop.time() - began < 5
    assert (await story.row()).status == "cancelled"
