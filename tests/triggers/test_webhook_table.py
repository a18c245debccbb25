"""Webhooks are found by method and path, the more exact path first, and the table changes as a whole."""

import asyncio

import pytest

from budflow.model.workflow import WebhookRoute
from budflow.scaling.wakes_here import WakesHere
from budflow.storage.errors import StorageUnavailable
from budflow.triggers.webhook_table import MethodRefused, WebhookTable, WebhookUnknown
from tests.until import until


def route(method: str, path: str, node: str = "hook") -> WebhookRoute:
    return WebhookRoute("default", f"wf_{path}", 1, node, method, path, path)


class Source:
    def __init__(self, *routes: WebhookRoute) -> None:
        self.routes = list(routes)
        self.reads = 0
        self.failing = False

    async def list_webhooks(self) -> list[WebhookRoute]:
        self.reads += 1
        if self.failing:
            raise StorageUnavailable
        return self.routes


async def table_of(*routes: WebhookRoute) -> WebhookTable:
    table = WebhookTable(Source(*routes))
    await table.refresh()
    return table


async def test_parts_in_braces_are_told_by_name_and_decoded() -> None:
    table = await table_of(route("POST", "orders/{shop}/{number}"))

    match = table.match("POST", "orders/M%C3%BCnchen%2FOst/7")

    assert match.params == {"shop": "München/Ost", "number": "7"}
    assert match.route.path == "orders/{shop}/{number}"


async def test_a_fixed_segment_wins_over_one_in_braces() -> None:
    table = await table_of(route("GET", "orders/{id}"), route("GET", "orders/latest"))

    assert table.match("GET", "orders/latest").route.path == "orders/latest"
    assert table.match("GET", "orders/1").params == {"id": "1"}


async def test_the_fixed_segment_gives_way_where_it_leads_nowhere() -> None:
    table = await table_of(route("GET", "a/b/d"), route("GET", "{x}/b/c"), route("GET", "a/{y}/{z}"))

    assert table.match("GET", "a/b/c").params == {"y": "b", "z": "c"}
    assert table.match("GET", "q/b/c").params == {"x": "q"}


async def test_the_same_path_may_belong_to_one_workflow_a_method() -> None:
    table = await table_of(route("GET", "orders/{id}", "read"), route("POST", "orders/{shop}", "write"))

    assert table.match("GET", "orders/1").params == {"id": "1"}
    assert table.match("POST", "orders/1").params == {"shop": "1"}


async def test_another_method_is_refused_with_those_that_are_answered() -> None:
    table = await table_of(route("GET", "orders/{id}"), route("PUT", "orders/latest"))

    with pytest.raises(MethodRefused) as refused:
        table.match("DELETE", "orders/latest")

    assert refused.value.details["allowed"] == ["GET", "PUT"]


@pytest.mark.parametrize(
    "path", ["", "order", "orders", "orders/", "orders/1/", "/orders/1", "orders/1/2", "orders/%ff"]
)
async def test_what_is_not_armed_is_unknown_and_nothing_is_suggested_to_strangers(path: str) -> None:
    table = await table_of(route("GET", "orders/{id}"))

    with pytest.raises(WebhookUnknown) as unknown:
        table.match("GET", path)

    assert "orders" not in unknown.value.hint + unknown.value.message


async def test_a_refresh_shows_what_was_published_and_hides_what_was_not() -> None:
    source = Source(route("GET", "old"))
    table = WebhookTable(source)
    await table.refresh()
    source.routes = [route("GET", "new")]
    await table.refresh()

    assert table.match("GET", "new").route.path == "new"
    with pytest.raises(WebhookUnknown):
        table.match("GET", "old")


async def test_following_goes_on_after_the_store_was_away() -> None:
    source = Source()
    table = WebhookTable(source)
    source.failing = True
    following = asyncio.create_task(table.follow(WakesHere(), 0.001))
    await until(lambda: source.reads >= 2)
    source.failing = False
    source.routes = [route("GET", "new")]
    seen = source.reads
    await until(lambda: source.reads >= seen + 2)
    following.cancel()

    assert table.match("GET", "new").route.path == "new"


async def test_what_another_server_published_is_served_when_it_tells() -> None:
    source, wakes = Source(), WakesHere()
    table = WebhookTable(source)
    following = asyncio.create_task(table.follow(wakes, 3600))
    await asyncio.sleep(0)
    source.routes = [route("GET", "new")]
    wakes.tell("triggers", "wf_new")
    await until(lambda: source.reads == 1)
    following.cancel()

    assert table.match("GET", "new").route.path == "new"


class SlowSource(Source):
    """The first reading takes until `gate` is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def list_webhooks(self) -> list[WebhookRoute]:
        routes = await super().list_webhooks()
        if self.reads == 1:
            await self.gate.wait()
        return routes


async def test_a_slow_refresh_does_not_undo_one_that_began_later() -> None:
    source = SlowSource()
    table = WebhookTable(source)
    slow = asyncio.create_task(table.refresh())
    await until(lambda: source.reads == 1)
    source.routes = [route("GET", "new")]
    await table.refresh()
    source.gate.set()
    await slow

    assert table.match("GET", "new").route.path == "new"
