"""The peer: a bare FastAPI endpoint that parses JSON and returns it, stores nothing and promises nothing."""

import asyncio
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/")
async def echo(request: Request) -> dict[str, object]:
    """Parse and return."""
    body = await request.json()
    return {"hello": body["name"], "x": 1}


@asynccontextmanager
async def bare_server() -> AsyncIterator[str]:
    """Run it in a process of its own, with the same server and loop as BudFlow; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ("-m", "uvicorn", "benchmarks.bare:app", "--port", str(port), "--no-access-log", "--log-level", "error")
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(20), httpx2.AsyncClient() as http:
            while True:
                try:
                    await http.post(address, json={"name": "x"})
                    break
                except httpx2.TransportError:
                    await asyncio.sleep(0.05)
        yield address
    finally:
        process.terminate()
        await process.wait()
