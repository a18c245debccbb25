"""The CLI as a client: requests to the owner's HTTP API, over its Unix socket or to --url."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import orjson

from budflow.cli.exit_codes import ServerNotRunning, ServerUnreachable, UsageError
from budflow.cli.options import Options
from budflow.errors import BudflowError
from budflow.storage.owner import owner_key, read_owner

API = "/api/v1"
KEY_VARIABLE = "BUDFLOW_KEY"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
WAIT_SECONDS = 20.0
POLL_SECONDS = 1.0
LOG_PAGE = 1_000
TERMINAL = ("succeeded", "failed", "cancelled")


class Refused(BudflowError):
    """The server refused the request."""

    code = "cli.refused"
    hint = "See what the server logged."

    def __init__(self, problem: Mapping[str, Any]) -> None:
        """From a problem document (RFC 9457): its code and hint are the error's own."""
        message = str(problem.get("detail") or problem.get("title") or "The server refused the request.")
        details = dict(problem.get("details") or {})
        if problem.get("problems"):
            details["problems"] = problem["problems"]
        super().__init__(message, hint=str(problem.get("hint") or self.hint), **details)
        self.code = str(problem.get("code") or type(self).code)  # type: ignore[misc]  # the server's, not the class's


class Client:
    """Requests with a key; answers as plain JSON. Raises Refused, ServerUnreachable."""

    def __init__(self, http: httpx2.Client, where: str) -> None:
        self._http, self.where = http, where

    def get(self, path: str, **params: Any) -> Any:
        """Read; parameters that are None are left out."""
        return self._send("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Do something; values that are None are left out."""
        return self._send("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Replace something."""
        return self._send("PUT", path, body=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change a part of something; what is None is removed, what is left out stays as it is."""
        return self._send("PATCH", path, body=body, with_nulls=True)

    def delete(self, path: str) -> Any:
        """Remove something."""
        return self._send("DELETE", path)

    def execution(self, execution_id: str, **params: Any) -> dict[str, Any]:
        """One execution with its nodes."""
        detail: dict[str, Any] = self.get(f"/executions/{execution_id}", **params)
        return detail

    def start(self, workflow_id: str, **body: Any) -> dict[str, Any]:
        """Start an execution; what is None is left to the server."""
        detail: dict[str, Any] = self.post(f"/workflows/{workflow_id}/executions", body)
        return detail

    def wait(self, execution_id: str, *, to_the_end: bool = False) -> dict[str, Any]:
        """The execution when it has ended, or waits for somebody, however long that takes.

        `to_the_end` goes on while somebody is waited for.
        """
        while True:
            began = time.monotonic()
            detail: dict[str, Any] = self.get(f"/executions/{execution_id}/wait", wait_seconds=WAIT_SECONDS)
            if detail["execution"]["status"] in TERMINAL:
                return detail
            if time.monotonic() - began >= WAIT_SECONDS:
                continue
            # The server answered before the time was over: only somebody outside can make it go on.
            if not to_the_end:
                return detail
            time.sleep(POLL_SECONDS)

    def events(self, execution_id: str) -> Iterator[dict[str, Any]]:
        """The events of an execution as they come, until it has ended. Raises Refused, also in the middle where one of
        them cannot be read.
        """
        return self._stream(f"/executions/{execution_id}/events")

    def logs(self, execution_id: str, **params: Any) -> Iterator[dict[str, Any]]:
        """What an execution logged so far, line by line; what is None is left out."""
        cursor: str | None = None
        while True:
            page = self.get(f"/executions/{execution_id}/logs", **params, limit=LOG_PAGE, cursor=cursor)
            yield from page["lines"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def follow_logs(self, execution_id: str, **params: Any) -> Iterator[dict[str, Any]]:
        """The same, and each line as it comes, until the execution has ended. Raises what `events` raises."""
        return self._stream(f"/executions/{execution_id}/logs", **params, follow=True)

    def _stream(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """The data of server-sent events (WHATWG HTML, 9.2)."""
        params = {name: value for name, value in params.items() if value is not None}
        request = self._http.build_request("GET", API + path, params=params, timeout=None)
        with _translated(self.where):
            response = self._http.send(request, stream=True)
            try:
                if response.is_error:
                    response.read()
                    raise _refused(response)
                kind = ""
                for line in response.iter_lines():
                    if line.startswith("event:"):
                        kind = line.removeprefix("event:").strip()
                    elif line.startswith("data:"):
                        data = orjson.loads(line.removeprefix("data:"))
                        if kind == "error":
                            raise Refused(data)
                        yield data
            finally:
                response.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        with_nulls: bool = False,
    ) -> Any:
        params = {name: value for name, value in (params or {}).items() if value is not None}
        content = None
        if body is not None:
            content = orjson.dumps({name: value for name, value in body.items() if with_nulls or value is not None})
        headers = {"Content-Type": "application/json"} if content is not None else None
        with _translated(self.where):
            response = self._http.request(method, API + path, params=params, content=content, headers=headers)
        if response.is_error:
            raise _refused(response)
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise ServerUnreachable(f"{self.where} answers no JSON: it is no BudFlow server.") from error


@contextmanager
def connect(options: Options) -> Iterator[Client]:
    """A client of --url, or of the owner of the data directory. Raises ServerNotRunning when there is neither."""
    limits = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    if options.url is not None:
        key = os.environ.get(KEY_VARIABLE)
        if not key:
            raise UsageError(f"{KEY_VARIABLE} is not set.", hint="Put the server's key there; --url needs it.")
        with (
            _translated(options.url),
            httpx2.Client(base_url=options.url.rstrip("/"), headers=_headers(key), timeout=limits) as http,
        ):
            yield Client(http, options.url)
        return
    data_dir = options.settings().data_dir
    socket = _owner_socket(data_dir)
    transport = httpx2.HTTPTransport(uds=socket)
    headers = _headers(owner_key(data_dir))
    with httpx2.Client(transport=transport, base_url="http://localhost", headers=headers, timeout=limits) as http:
        yield Client(http, f"the server on {data_dir}")


def _owner_socket(data_dir: Any) -> str:
    """Where the living owner listens; one that is just starting gets a moment."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        owner = read_owner(data_dir)
        if owner is None:
            raise ServerNotRunning(f"No server is running on {data_dir}.")
        if owner.socket is not None:
            return owner.socket
        if time.monotonic() > deadline:
            raise ServerUnreachable(f"The process {owner.pid} owns {data_dir} but does not listen.")
        time.sleep(0.05)


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "X-Budflow-Door": "cli"}


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        raise ServerUnreachable(f"{where} did not answer in time.") from error
    except httpx2.InvalidURL as error:
        raise UsageError(f"{where} is no address: {error}.") from error
    except httpx2.TransportError as error:
        raise ServerUnreachable(f"{where} cannot be reached: {error}.") from error


def _refused(response: httpx2.Response) -> BudflowError:
    try:
        problem = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": f"The server answered {response.status_code} and no problem document."}
    return Refused(problem)
