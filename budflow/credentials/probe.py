"""Trying a credential by a real and harmless call: the request that its user named, or what its kind knows."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlsplit

from budflow.errors import BudflowError
from budflow.model.credential_kind import OpenCredential, Probed
from budflow.model.host_pattern import DEFAULT_PORTS
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.node import HttpCapability

PROBE_SECONDS_MAX = 10.0
REFUSING = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
PHRASES = {int(status): status.phrase for status in HTTPStatus}

#: Tries the address of a PostgreSQL database in so many seconds.
PingDatabase = Callable[[str, float], Awaitable[Probed]]


class CredentialProber:
    """Meets budflow.services.credential_ports.Prober.

    Requests leave by `http`, which holds to the addresses that may be reached and to the hosts of the credential, and
    masks its secrets in what comes back.
    """

    def __init__(self, http: HttpCapability, ping_database: PingDatabase) -> None:
        self._http, self._ping_database = http, ping_database

    async def probe(self, credential: OpenCredential, request: HttpRequest | None) -> Probed:
        """Send the request that the user named, or do what the kind knows. What the other side does raises nothing.

        What is wrong with the request itself does: HostRefused, and other errors below 500 of the guarded client.
        """
        try:
            probed = await self._probe(credential, request)
        except BudflowError as error:
            if error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            probed = Probed(None, error.message)
        return replace(probed, answer=credential.redaction.text(probed.answer))

    async def _probe(self, credential: OpenCredential, request: HttpRequest | None) -> Probed:
        values = credential.values
        checked = await values.check(lambda url: self._ping_database(url, PROBE_SECONDS_MAX))
        if checked is not None:
            return checked
        asked = request or values.probe()
        if not values.signs():
            return Probed(None, f"A credential of the kind {credential.kind} signs no requests, so none was sent.")
        if asked is None:
            advice = "which request is harmless, only you can know. Name it by its URL, or as the credential's probe."
            return Probed(None, f"No server was called: {advice}")
        return await self._ask(credential, asked)

    async def _ask(self, credential: OpenCredential, request: HttpRequest) -> Probed:
        seconds = min(request.timeout_seconds, PROBE_SECONDS_MAX)
        response = await self._http.send(replace(request, timeout_seconds=seconds), credential)
        what = f"{request.method} {_place(request.url)} was answered with {_status(response)}"
        if _origin(response.url) != _origin(request.url):
            # It went there unsigned, so that what it says is not about the credential.
            return Probed(None, f"{what} by {urlsplit(response.url).hostname}, to which it was redirected.")
        return Probed(_works(response.status), f"{what}.")


def _works(status: int) -> bool | None:
    if status in REFUSING:
        return False
    return True if 200 <= status < 400 else None


def _status(response: HttpResponse) -> str:
    return f"{response.status} {PHRASES.get(response.status, '')}".strip()


def _place(url: str) -> str:
    """The address without its query, in which a secret may stand."""
    parts = urlsplit(url)
    return f"{_origin(url)}{parts.path}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = "" if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
