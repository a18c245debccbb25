"""Text: finding addresses and numbers in it, and taking markup out of it."""

from budflow.expressions import regular
from budflow.expressions.arguments import text as as_text
from budflow.expressions.budget import ELEMENTS_MAX, Budget, Fault
from budflow.expressions.declare import method
from budflow.expressions.functions.urls import split_url

EMAIL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[\pL\pN](?:[\pL\pN-]*[\pL\pN])?\.)+(?:[\pL]{2,}|xn--[A-Za-z0-9-]+)"
URL = r"""(?i)\b(?:https?|ftp)://[^\s<>"'`{}|\\^]*[^\s<>"'`{}|\\^.,;:!?)\]]"""
NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
MENTION = r"(?:^|[^\pL\pN_@#])([@#][\pL\pN_]+)"
DOMAIN_CHARS_MAX = 253

# Markdown, one construct after the other: (pattern, what is left of it).
MARKDOWN = (
    (r"(?m)^[ \t]*(?:```|~~~).*$", ""),
    (r"!\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1"),
    (r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1"),
    (r"(?m)^[ \t]{0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$", r"\1"),
    (r"(?m)^[ \t]{0,3}(?:>[ \t]?)+", ""),
    (r"(?m)^([ \t]*)(?:[-*+]|\d+\.)[ \t]+", r"\1"),
    (r"(?m)^[ \t]*(?:-{3,}|\*{3,}|_{3,}|={3,})[ \t]*$", ""),
    (r"`+([^`\n]*)`+", r"\1"),
    (r"(\*\*\*|\*\*|\*|~~)([^\s*~](?:[^*~\n]*[^\s*~])?)(?:\*\*\*|\*\*|\*|~~)", r"\2"),
    (r"\b__?([^\s_](?:[^_\n]*[^\s_])?)__?\b", r"\1"),
)


@method(
    str,
    name="extract_email",
    examples=[
        ("'Write to Ada <ada@example.org>.'.extract_email()", "ada@example.org"),
        ("'none'.extract_email()", None),
    ],
)
def extract_email(budget: Budget, text: str) -> str | None:
    """The first e-mail address in the text; None when there is none."""
    return next(iter(_every(budget, EMAIL, text, 1)), None)


@method(str, name="extract_emails", examples=[("'a@x.org, b@y.org'.extract_emails()", ["a@x.org", "b@y.org"])])
def extract_emails(budget: Budget, text: str) -> list[str]:
    """All e-mail addresses in the text, in their order."""
    return _every(budget, EMAIL, text)


@method(
    str,
    name="extract_url",
    examples=[("'See https://example.org/a?b=1.'.extract_url()", "https://example.org/a?b=1")],
)
def extract_url(budget: Budget, text: str) -> str | None:
    """The first URL (http, https or ftp) in the text; None when there is none."""
    return next(iter(_every(budget, URL, text, 1)), None)


@method(
    str,
    name="extract_urls",
    examples=[("'http://a.org and http://b.org'.extract_urls()", ["http://a.org", "http://b.org"])],
)
def extract_urls(budget: Budget, text: str) -> list[str]:
    """All URLs (http, https or ftp) in the text, in their order."""
    return _every(budget, URL, text)


@method(
    str,
    name="extract_domain",
    examples=[
        ("'ada@example.org'.extract_domain()", "example.org"),
        ("'https://shop.example.org:8080/x'.extract_domain()", "shop.example.org"),
        ("'no domain'.extract_domain()", None),
    ],
)
def extract_domain(budget: Budget, text: str) -> str | None:
    """The domain of the URL or e-mail address that the text is, or of the first one in it; None without one."""
    budget.text(len(text))
    found = text.strip()
    if "://" not in found and "@" not in found and " " not in found and "." in found[:DOMAIN_CHARS_MAX]:
        found = f"http://{found}"
    urls = _every(budget, URL, found, 1)
    if urls:
        return split_url(budget, urls[0]).hostname
    email = extract_email.call(budget, text)
    return None if email is None else str(email).rpartition("@")[2].lower()


@method(
    str,
    name="extract_url_path",
    examples=[("'See https://example.org/orders/1?x=2'.extract_url_path()", "/orders/1")],
)
def extract_url_path(budget: Budget, text: str) -> str | None:
    """The path of the first URL in the text; None when there is none."""
    urls = _every(budget, URL, text, 1)
    return split_url(budget, urls[0]).path or "/" if urls else None


@method(str, name="extract_numbers", examples=[("'3 of 1,250.50 at -2°'.extract_numbers()", [3, 1250.5, -2])])
def extract_numbers(budget: Budget, text: str) -> list[float]:
    """All numbers in the text, written with `.` before the fraction; `,` may part thousands."""
    found = (one.replace(",", "") for one in _every(budget, NUMBER, text))
    return [float(one) if "." in one or len(one) > 300 else int(one) for one in found]


@method(str, name="extract_tags", examples=[("'Hi @ada, see #budflow.'.extract_tags()", ["@ada", "#budflow"])])
def extract_tags(budget: Budget, text: str) -> list[str]:
    """All `#tags` and `@mentions` in the text, with their sign."""
    found = regular.every(budget, MENTION, text, limit=ELEMENTS_MAX)
    return [group for match in found for group in match.groups if group]


@method(
    str,
    name="strip_tags",
    examples=[
        ("'<p>Hello <b>Ada</b> &amp; co</p>'.strip_tags()", "Hello Ada &amp; co"),
        ("'1 < 2'.strip_tags()", "1 < 2"),
    ],
)
def strip_tags(budget: Budget, text: str) -> str:
    """The text without HTML and XML tags and comments; what makes hostile HTML safe is `.html_escape()`."""
    budget.text(len(text) * 4)
    made: list[str] = []
    at = 0
    while (opened := text.find("<", at)) >= 0:
        budget.spend(1)
        following = text[opened + 1 : opened + 2]
        if not (following.isalpha() or following in ("/", "!", "?")) or not following:
            made.append(text[at : opened + 1])
            at = opened + 1
            continue
        made.append(text[at:opened])
        end = "-->" if text.startswith("<!--", opened) else ">"
        closed = text.find(end, opened)
        if closed < 0:
            made.append(text[opened:])
            return "".join(made)
        at = closed + len(end)
    made.append(text[at:])
    return "".join(made)


@method(
    str,
    name="strip_markdown",
    examples=[
        ("'# Title\\nSome **bold** [link](http://x.org), `code`'.strip_markdown()", "Title\nSome bold link, code")
    ],
)
def strip_markdown(budget: Budget, text: str) -> str:
    """The text without Markdown's marks: headings, emphasis, links, images, quotes, lists and code."""
    for pattern, left in MARKDOWN:
        text = regular.replace(budget, pattern, text, left)
    return text


@method(
    str,
    name="quote",
    examples=[("'say \"hi\"'.quote()", '"say \\"hi\\""'), ('"it\'s".quote("\'")', "'it\\'s'")],
)
def quote(budget: Budget, text: str, mark: str = '"') -> str:
    """The text between quotation marks, with a backslash before those in it and before backslashes."""
    if len(as_text(mark)) != 1:
        raise Fault("the mark must be one character")
    budget.text(2 * len(text) + 2)
    escaped = text.replace("\\", "\\\\").replace(mark, f"\\{mark}")
    return f"{mark}{escaped}{mark}"


def _every(budget: Budget, pattern: str, text: str, limit: int = ELEMENTS_MAX) -> list[str]:
    sign = "@" if pattern is EMAIL else "://" if pattern is URL else ""
    budget.search(text, sign)
    if sign not in text:
        return []
    return [found.text for found in regular.every(budget, pattern, text, limit=limit)]
