"""Signing: what a credential adds to a request on its way out, and what is taken off again where that may not go."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar
from urllib.parse import unquote, unquote_plus, urlencode

import httpx2

from budflow.egress.outgoing import Hop, origin_of, parsed_url
from budflow.egress.transport import RequestInvalid
from budflow.errors import BudflowError
from budflow.model.credential_kind import OpenCredential
from budflow.model.http import HttpRequest, HttpResponse

CHALLENGE = 401
#: The codings of a body (RFC 9110, 8.4.1) that are undone before it is masked.
DECODED = frozenset({"gzip", "deflate"})

Pair = tuple[str, str]


class SignedTwice(BudflowError):
    """The request has already what the credential is to add to it."""

    code = "http.signed_twice"
    http_status = 422
    hint = "Leave it out of the node's parameters, or take the credential off the node."
    retriable: ClassVar[bool] = False


class RedirectRefused(BudflowError):
    """The server redirects to another one with a secret in the address."""

    code = "http.redirect_refused"
    http_status = 502
    hint = "Set the request not to follow redirects, and send it to the right address at once."
    retriable: ClassVar[bool] = False


class AnswerUnmaskable(BudflowError):
    """The answer is encoded in a way in which a secret could not be masked."""

    code = "http.answer_unmaskable"
    http_status = 502
    hint = "Leave the header Accept-Encoding out of the request: a server that goes by it answers in gzip or plainly."
    retriable: ClassVar[bool] = False


class Signing:
    """What one request is signed with: on every hop to the origin that it was meant for, and on no other.

    A hop is the request as it is without being signed; what signing made of it is sent and then forgotten. A request
    with secret parts of its own is complete with them: its author says where the credential stands.
    """

    def __init__(self, credential: OpenCredential, hop: Hop, now: Callable[[], datetime]) -> None:
        """Raises HostRefused unless the credential may go where the first hop leads."""
        # The origin is what is connected to: of odd spellings another parser might see another host in the URL.
        self._origin = origin_of(hop.url)
        credential.require_host(self._origin)
        request = hop.request
        if any(name.lower() == "host" for name, _ in (*request.headers, *request.secret_headers)):
            raise RequestInvalid(
                "The header Host cannot be set on a request with a credential",
                hint="It could lead the credential to another server behind the same address. Write the host in `url`.",
            )
        self._credential, self._now = credential, now
        self._added_query: frozenset[Pair] = frozenset()

    def sign(self, hop: Hop) -> Hop:
        """What is to be sent. Raises SignedTwice, RequestInvalid, UrlInvalid and what the credential's kind raises."""
        if origin_of(hop.url) != self._origin:
            return hop
        if _has_secrets(hop):
            return self._checked(hop, _revealed(hop))
        return self._checked(hop, self._credential.values.sign(hop.request, self._now()))

    def answer(self, hop: Hop, response: httpx2.Response) -> Hop | None:
        """What is to be sent instead where the response is a challenge that the credential can answer."""
        if response.status_code != CHALLENGE or _has_secrets(hop) or origin_of(hop.url) != self._origin:
            return None
        # Challenges stand in headers (RFC 9110, 11.6.1): the body need not be read.
        challenge = HttpResponse(response.status_code, tuple(response.headers.multi_items()), b"", hop.request.url)
        signed = self._credential.values.answer(hop.request, challenge)
        return None if signed is None else self._checked(hop, signed)

    def cleared(self, target: httpx2.URL, location: str) -> httpx2.URL:
        """Where a redirect leads, without what the last signing added to the query, should the server repeat that.

        `location` is the target as the server wrote it. Raises RedirectRefused where another secret of the credential
        would leave for another origin.
        """
        is_home = origin_of(target) == self._origin
        names = {name for name, _ in self._added_query}
        kept = [
            raw
            for raw in _query(target)
            # Home again the same parameters are added anew, whatever the server made of their values.
            if not (_decoded(raw)[0] in names if is_home else _decoded(raw) in self._added_query)
        ]
        cleared = _with_query(target, kept) if self._added_query and target.query else target
        if not is_home:
            redaction = self._credential.redaction
            # The host as written too: parsed it is in lower case, in which no secret would be found.
            for text in (str(cleared), unquote(str(cleared)), location.partition("?")[0]):
                if redaction.text(text) != text:
                    raise RedirectRefused
        return cleared

    def mask(self, response: HttpResponse) -> HttpResponse:
        """The response without the secrets, which a server may repeat. Raises AnswerUnmaskable."""
        codings = _codings(response)
        if response.body and not codings <= DECODED:
            raise AnswerUnmaskable
        if codings:
            # How well a guess is compressed beside the secret would tell how good it is (BREACH, CVE-2013-3587).
            kept = tuple(header for header in response.headers if header[0].lower() != "content-length")
            response = replace(response, headers=kept)
        redaction = self._credential.redaction
        body = redaction.octets(response.body)
        # Looked through as one text, since hardly ever there is one in any of them.
        told = "\n".join((response.url, *(text for header in response.headers for text in header)))
        if redaction.text(told) == told:
            return response if body is response.body else replace(response, body=body)
        headers = tuple((redaction.text(name), redaction.text(value)) for name, value in response.headers)
        return replace(response, headers=headers, body=body, url=redaction.text(response.url))

    def mask_error(self, error: BudflowError) -> None:
        """Take the secrets out of an error, which may quote what the server sent."""
        error.message = self._credential.redaction.text(error.message)
        error.args = (error.message,)
        error.details = self._credential.redaction.data(error.details)

    def _checked(self, hop: Hop, signed: HttpRequest) -> Hop:
        """The signed request, when signing has only added to it: one of two values would win, and nobody knows which.

        Raises SignedTwice, and RequestInvalid where the request would go elsewhere.
        """
        before = [(name.lower(), value) for name, value in hop.request.headers]
        _additions("header", before, [(name.lower(), value) for name, value in signed.headers])
        if signed.url == hop.request.url:
            return Hop(signed, hop.url)
        target = parsed_url(signed.url)
        if origin_of(target) != self._origin:
            raise RequestInvalid("Signing would have led the request to another server")
        asked = [_decoded(raw) for raw in _query(hop.url)]
        signed_asked = [_decoded(raw) for raw in _query(target)]
        self._added_query = frozenset(_additions("query parameter", asked, signed_asked))
        return Hop(signed, target)


def _codings(response: HttpResponse) -> frozenset[str]:
    """How the body was encoded on the way (RFC 9110, 8.4)."""
    values = [value for name, value in response.headers if name.lower() == "content-encoding"]
    return frozenset(coding.strip().lower() for value in values for coding in value.split(",")) - {"", "identity"}


def _has_secrets(hop: Hop) -> bool:
    return bool(hop.request.secret_headers or hop.request.secret_query)


def _revealed(hop: Hop) -> HttpRequest:
    """The request with its secret parts among the others."""
    request = hop.request
    headers = tuple((name, secret.reveal()) for name, secret in request.secret_headers)
    query = urlencode([(name, secret.reveal()) for name, secret in request.secret_query])
    return replace(
        request,
        url=str(_with_query(hop.url, [*_query(hop.url), query])) if query else request.url,
        headers=(*request.headers, *headers),
    )


def _additions(what: str, before: Sequence[Pair], after: Sequence[Pair]) -> Iterable[Pair]:
    added = [pair for pair in after if pair not in before]
    changed = {name for name, _ in added} & {name for name, _ in before} | {
        name for name, value in before if (name, value) not in after
    }
    if changed:
        raise SignedTwice(f"The credential sets the {what} `{min(changed)}`, which the request has already")
    return added


def _query(url: httpx2.URL) -> list[str]:
    return url.query.decode("ascii").split("&") if url.query else []


def _decoded(raw: str) -> Pair:
    name, _, value = raw.partition("=")
    return unquote_plus(name), unquote_plus(value)


def _with_query(url: httpx2.URL, pairs: Sequence[str]) -> httpx2.URL:
    return url.copy_with(query="&".join(pairs).encode() if pairs else None)
