"""Text and dicts: the parts of a URL, and its query."""

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from budflow.expressions.arguments import mapping, text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.suggest import shorten
from budflow.expressions.values import Sequence, text_of

URL_CHARS_MAX = 65_536
FOREIGN_CHARS_MAX = 4_096  # A host is normalised, which takes the square of the marks in it.
FIELDS_MAX = 1_000
PARTS = ("scheme", "user", "password", "host", "port", "path", "query", "fragment")


@method(
    str,
    name="parse_url",
    examples=[
        (
            "'https://example.org:8080/a/b?x=1&x=2&y=#top'.parse_url()",
            {
                "scheme": "https",
                "user": None,
                "password": None,
                "host": "example.org",
                "port": 8080,
                "path": "/a/b",
                "query": {"x": ["1", "2"], "y": ""},
                "fragment": "top",
            },
        )
    ],
)
def parse_url(budget: Budget, text: str) -> dict[str, object]:
    """The parts of the URL: scheme, user, password, host, port, path, query (a dict) and fragment."""
    parts = split_url(budget, text)
    try:
        port = parts.port
    except ValueError:
        raise Fault(f"{shorten(text, 40)!r} has no valid port") from None
    values = (parts.scheme, parts.username, parts.password, parts.hostname, port, parts.path)
    return dict(zip(PARTS, (*values, _query(budget, parts.query), parts.fragment), strict=True))


@method(str, name="url_host", examples=[("'https://Example.org:8080/a'.url_host()", "example.org")])
def url_host(budget: Budget, text: str) -> str | None:
    """The host of the URL in small letters; None when it has none."""
    return split_url(budget, text).hostname


@method(str, name="url_path", examples=[("'https://example.org/a/b?x=1'.url_path()", "/a/b")])
def url_path(budget: Budget, text: str) -> str:
    """The path of the URL, without its query."""
    return split_url(budget, text).path


@method(str, name="url_query", examples=[("'https://example.org/?a=1&b=%C3%BC'.url_query()", {"a": "1", "b": "ü"})])
def url_query(budget: Budget, text: str) -> dict[str, object]:
    """The fields of the URL's query as a dict; a field that is there several times holds a list."""
    return _query(budget, split_url(budget, text).query)


@method(str, name="parse_query", examples=[("'a=1&b=2&b=3'.parse_query()", {"a": "1", "b": ["2", "3"]})])
def parse_query(budget: Budget, text: str) -> dict[str, object]:
    """The fields of a query or of a form's body as a dict; a field that is there several times holds a list."""
    budget.text(len(text))
    return _query(budget, text.removeprefix("?"))


@method(
    str,
    name="with_query",
    examples=[("'https://example.org/?a=1'.with_query({'b': 'x y', 'a': None})", "https://example.org/?b=x%20y")],
)
def with_query(budget: Budget, text: str, fields: Mapping[str, object]) -> str:
    """The URL with these fields set in its query; None takes one out."""
    parts = split_url(budget, text)
    query = dict[object, object](_query(budget, parts.query).items())
    for name, value in mapping(fields, "fields").items():
        budget.spend(1)
        query.pop(as_text(name, "a field's name"), None)
        if value is not None:
            query[as_text(name)] = value
    return parts._replace(query=_written(budget, query)).geturl()


@method(str, name="join_url", examples=[("'https://example.org/a/b'.join_url('../c')", "https://example.org/c")])
def join_url(budget: Budget, text: str, reference: str) -> str:
    """The address that a link means on the page of this URL (RFC 3986)."""
    split_url(budget, as_text(reference))
    split_url(budget, text)
    return urljoin(text, reference)


@method(
    dict,
    name="to_query",
    examples=[("{'q': 'a b', 'page': 2, 'tag': ['x', 'y'], 'none': None}.to_query()", "q=a%20b&page=2&tag=x&tag=y")],
)
def to_query(budget: Budget, data: Mapping[object, object]) -> str:
    """The dict as a query: lists give a field several times, None gives none."""
    return _written(budget, data)


@function(
    "build_url",
    examples=[
        (
            "build_url(host='example.org', path='/a b', query={'x': 1})",
            "https://example.org/a%20b?x=1",
        )
    ],
)
def build_url(
    budget: Budget,
    *,
    host: str,
    scheme: str = "https",
    port: int | None = None,
    path: str = "",
    query: Mapping[str, object] | None = None,
    fragment: str = "",
) -> str:
    """A URL of these parts."""
    if port is not None and (type(port) is not int or not 0 < port < 65_536):
        raise Fault("a port is a number from 1 to 65,535")
    if not as_text(scheme, "scheme").isalnum() or any(char in as_text(host, "host") for char in "/?#@\\ \t\r\n"):
        raise Fault("this is not a scheme and a host")
    if len(as_text(path, "path")) + len(as_text(fragment, "fragment")) + len(host) + len(scheme) > URL_CHARS_MAX:
        raise Fault(f"a URL has at most {URL_CHARS_MAX:,} characters", over_budget=True)
    where = f"[{host}]" if ":" in host else host
    rooted = quote(path if path.startswith("/") or not path else f"/{path}", safe="/%:@!$&'()*+,;=~-._")
    written = _written(budget, mapping(query, "query")) if query else ""
    return urlunsplit((scheme, f"{where}:{port}" if port else where, rooted, written, quote(fragment)))


def split_url(budget: Budget, url: str) -> SplitResult:
    """The parts of a URL."""
    if len(url) > URL_CHARS_MAX:
        raise Fault(f"a URL has at most {URL_CHARS_MAX:,} characters", over_budget=True)
    if not url.isascii() and sum(not char.isascii() for char in url) > FOREIGN_CHARS_MAX:
        raise Fault(f"a URL has at most {FOREIGN_CHARS_MAX:,} characters beyond ASCII", over_budget=True)
    budget.spend(1 + len(url) // 16)
    try:
        return urlsplit(url.strip())
    except ValueError as error:
        raise Fault(f"{shorten(url, 40)!r} is not a URL: {error}") from None


def _query(budget: Budget, query: str) -> dict[str, object]:
    budget.spend(query.count("&") + len(query) // 64)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise Fault(f"a query has at most {FIELDS_MAX:,} fields", over_budget=True) from None
    fields: dict[str, object] = {}
    for name, value in pairs:
        known = fields.get(name)
        if isinstance(known, list):
            known.append(value)
        else:
            fields[name] = value if name not in fields else [known, value]
    return fields


def _written(budget: Budget, fields: Mapping[object, object]) -> str:
    pairs: list[tuple[str, str]] = []
    chars = 0
    for name, value in fields.items():
        several: Sequence = value if isinstance(value, (list, tuple)) else [value]
        for one in several:
            if one is None:
                continue
            pair = (text_of(budget, name), text_of(budget, one))
            chars += 3 * (len(pair[0]) + len(pair[1])) + 2
            budget.spend(2 + (len(pair[0]) + len(pair[1])) // 16)
            pairs.append(pair)
    budget.text(chars)
    return urlencode(pairs, quote_via=quote)
