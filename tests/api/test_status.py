"""`GET /status`: where blobs are, and whether they can be reached."""

from pathlib import Path

import pytest

from tests.http_server import HttpServer


async def test_it_tells_where_blobs_are_and_that_they_can_be_reached(server: HttpServer) -> None:
    shown = (await server.client.get("/api/v1/status")).json()

    assert shown["blobs"] == {
        "place": server.runtime.services.blobs.place,
        "works": True,
        "problem": None,
        "hint": None,
    }


async def test_it_tells_why_they_cannot(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.runtime.services.blobs, "directory", Path("/etc/hosts/blobs"))

    shown = (await server.client.get("/api/v1/status")).json()["blobs"]

    assert not shown["works"]
    assert "may be written" in shown["problem"]
    assert shown["hint"]
