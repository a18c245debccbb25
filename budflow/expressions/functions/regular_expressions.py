r"""Text: regular expressions, as RE2 has them: linear time, no look-around, no backreferences.

Write patterns as raw texts: `r"\d+"`.
"""

from budflow.expressions import regular
from budflow.expressions.arguments import whole
from budflow.expressions.budget import ELEMENTS_MAX, Budget
from budflow.expressions.declare import function, method


@method(
    str,
    name="regex_test",
    examples=[
        (r"'Order 4711'.regex_test(r'\d{4}')", True),
        ("'Ada'.regex_test('^a', ignore_case=True)", True),
    ],
)
def regex_test(budget: Budget, text: str, pattern: str, ignore_case: bool = False) -> bool:
    """Whether the pattern matches somewhere in the text."""
    return regular.matches(budget, pattern, text, ignore_case=ignore_case)


@method(str, name="regex_full", examples=[(r"'AB-12'.regex_full(r'[A-Z]+-\d+')", True)])
def regex_full(budget: Budget, text: str, pattern: str, ignore_case: bool = False) -> bool:
    """Whether the pattern matches the whole text."""
    return regular.matches(budget, pattern, text, ignore_case=ignore_case, entire=True)


@method(
    str,
    name="regex_find",
    examples=[
        (r"'Order 4711'.regex_find(r'\d+')", "4711"),
        (r"'id=7'.regex_find(r'id=(\d+)')", "7"),
        (r"'-'.regex_find('x')", None),
    ],
)
def regex_find(budget: Budget, text: str, pattern: str, ignore_case: bool = False) -> object:
    """The first match, or its one group, or the list of its groups; None when there is no match."""
    found = regular.first(budget, pattern, text, ignore_case=ignore_case)
    return None if found is None else _shown(found)


@method(
    str,
    name="regex_find_all",
    examples=[
        (r"'a1 b22'.regex_find_all(r'\d+')", ["1", "22"]),
        (r"'a=1;b=2'.regex_find_all(r'(\w)=(\d)')", [["a", "1"], ["b", "2"]]),
    ],
)
def regex_find_all(budget: Budget, text: str, pattern: str, ignore_case: bool = False) -> list[object]:
    """All matches from the left: each as its text, or its one group, or the list of its groups."""
    found = [_shown(one) for one in regular.every(budget, pattern, text, ignore_case=ignore_case, limit=ELEMENTS_MAX)]
    budget.elements(len(found))
    return found


@method(
    str,
    name="regex_groups",
    examples=[(r"'2026-01-31'.regex_groups(r'(?P<year>\d+)-(?P<month>\d+)')", {"year": "2026", "month": "01"})],
)
def regex_groups(budget: Budget, text: str, pattern: str, ignore_case: bool = False) -> dict[str, object] | None:
    """The named groups of the first match as a dict; None when there is no match."""
    found = regular.first(budget, pattern, text, ignore_case=ignore_case)
    if found is None:
        return None
    names = regular.compiled(pattern, ignore_case=ignore_case).names
    return {name: found.groups[number - 1] for name, number in sorted(names.items(), key=lambda item: item[1])}


@method(
    str,
    name="regex_replace",
    examples=[
        (r"'tel 0170-123'.regex_replace(r'\D', '')", "0170123"),
        (r"'Lovelace, Ada'.regex_replace(r'(\w+), (\w+)', r'\2 \1')", "Ada Lovelace"),
    ],
)
def regex_replace(budget: Budget, text: str, pattern: str, new: str, ignore_case: bool = False, limit: int = -1) -> str:
    r"""The text with every match replaced; in `new`, `\1` and `\g<name>` stand for groups and `\0` for the match."""
    cuts = whole(limit, "limit")
    cuts = ELEMENTS_MAX if cuts < 0 else min(cuts, ELEMENTS_MAX)
    return regular.replace(budget, pattern, text, new, ignore_case=ignore_case, limit=cuts)


@method(str, name="regex_split", examples=[(r"'a, b;c'.regex_split(r'[,;]\s*')", ["a", "b", "c"])])
def regex_split(budget: Budget, text: str, pattern: str, ignore_case: bool = False, limit: int = -1) -> list[str]:
    """The parts between the matches, after at most `limit` cuts."""
    cuts = whole(limit, "limit")
    cuts = ELEMENTS_MAX if cuts < 0 else min(cuts, ELEMENTS_MAX)
    parts = regular.split(budget, pattern, text, ignore_case=ignore_case, limit=cuts)
    budget.elements(len(parts))
    return parts


@method(str, name="regex_count", examples=[(r"'a1 b22'.regex_count(r'\d+')", 2)])
def regex_count(budget: Budget, text: str, pattern: str, ignore_case: bool = False) -> int:
    """How often the pattern matches, without overlap."""
    found = regular.every(budget, pattern, text, ignore_case=ignore_case, limit=ELEMENTS_MAX, groups=False)
    return sum(1 for _ in found)


@function("regex_escape", examples=[("regex_escape('a.b*')", r"a\.b\*")])
def regex_escape(budget: Budget, text: str) -> str:
    """The pattern that matches exactly this text."""
    budget.text(len(text) * 2)
    budget.spend(len(text) // 8)
    return regular.escape(text)


def _shown(found: regular.Found) -> object:
    if not found.groups:
        return found.text
    return found.groups[0] if len(found.groups) == 1 else list(found.groups)
