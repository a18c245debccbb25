"""Text: what is in it, and replacing it."""

from budflow.expressions.arguments import listed, mapping, text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import method

COMPARED_CHARS_MAX = 400  # Of texts whose likeness is measured, which takes the product of their lengths.


@method(str, name="startswith", examples=[("'report.pdf'.startswith('report')", True)])
def startswith(budget: Budget, text: str, prefix: str) -> bool:
    """Whether the text starts with this."""
    budget.scan(len(as_text(prefix)))
    return text.startswith(prefix)


@method(str, name="endswith", examples=[("'report.pdf'.endswith('.pdf')", True)])
def endswith(budget: Budget, text: str, suffix: str) -> bool:
    """Whether the text ends with this."""
    budget.scan(len(as_text(suffix)))
    return text.endswith(suffix)


@method(
    str,
    name="contains",
    examples=[("'report.pdf'.contains('port')", True), ("'abc'.contains('B', ignore_case=True)", True)],
)
def contains(budget: Budget, text: str, part: str, ignore_case: bool = False) -> bool:
    """Whether this part occurs in the text."""
    budget.search(text, as_text(part))
    if ignore_case:
        budget.text(len(text) + len(part))
        return part.casefold() in text.casefold()
    return part in text


@method(str, name="contains_any", examples=[("'a refund, please'.contains_any(['refund', 'return'])", True)])
def contains_any(budget: Budget, text: str, parts: list[str]) -> bool:
    """Whether at least one of the parts occurs in the text."""
    return any(_contains(budget, text, part) for part in listed(budget, parts))


@method(str, name="contains_all", examples=[("'red and blue'.contains_all(['red', 'green'])", False)])
def contains_all(budget: Budget, text: str, parts: list[str]) -> bool:
    """Whether all of the parts occur in the text."""
    return all(_contains(budget, text, part) for part in listed(budget, parts))


@method(str, name="equals_ignoring_case", examples=[("'Straße'.equals_ignoring_case('STRASSE')", True)])
def equals_ignoring_case(budget: Budget, text: str, other: str) -> bool:
    """Whether both texts are the same but for capitals."""
    budget.text(len(text) + len(as_text(other)))
    return text.casefold() == other.casefold()


@method(str, name="find", examples=[("'abcb'.find('b')", 1), ("'abcb'.find('z')", -1)])
def find(budget: Budget, text: str, part: str) -> int:
    """Where the part first occurs, or -1."""
    budget.search(text, as_text(part))
    return text.find(part)


@method(str, name="rfind", examples=[("'abcb'.rfind('b')", 3)])
def rfind(budget: Budget, text: str, part: str) -> int:
    """Where the part last occurs, or -1."""
    budget.search_back(text, as_text(part))
    return text.rfind(part)


@method(str, name="count", examples=[("'banana'.count('an')", 2)])
def count(budget: Budget, text: str, part: str) -> int:
    """How often the part occurs without overlap."""
    budget.search(text, as_text(part))
    return text.count(part)


@method(
    str, name="replace", examples=[("'a-b-c'.replace('-', '+')", "a+b+c"), ("'a-b-c'.replace('-', '+', 1)", "a+b-c")]
)
def replace(budget: Budget, text: str, old: str, new: str, limit: int = -1) -> str:
    """The text with every `old` replaced by `new`, or with the first `limit` of them."""
    return _replace(budget, text, as_text(old), as_text(new), limit)


@method(
    str,
    name="replace_each",
    examples=[("'Hi NAME, TIME!'.replace_each({'NAME': 'Ada', 'TIME': 'noon'})", "Hi Ada, noon!")],
)
def replace_each(budget: Budget, text: str, replacements: dict[str, str]) -> str:
    """The text with every key of the dict replaced by its value, one key after the other."""
    for old, new in mapping(replacements).items():
        text = _replace(budget, text, as_text(old, "a key"), as_text(new, "a value"), -1)
    return text


@method(str, name="is_digit", examples=[("'2026'.is_digit()", True), ("''.is_digit()", False)])
def is_digit(budget: Budget, text: str) -> bool:
    """Whether the text is made of digits only."""
    budget.scan(len(text))
    return text.isdigit()


@method(str, name="is_alpha", examples=[("'Ada'.is_alpha()", True)])
def is_alpha(budget: Budget, text: str) -> bool:
    """Whether the text is made of letters only."""
    budget.scan(len(text))
    return text.isalpha()


@method(str, name="is_upper", examples=[("'SKU-7'.is_upper()", True)])
def is_upper(budget: Budget, text: str) -> bool:
    """Whether the text has letters, and all of them are capitals."""
    budget.scan(len(text))
    return text.isupper()


@method(str, name="is_lower", examples=[("'sku-7'.is_lower()", True)])
def is_lower(budget: Budget, text: str) -> bool:
    """Whether the text has letters, and all of them are small."""
    budget.scan(len(text))
    return text.islower()


@method(str, name="distance", examples=[("'kitten'.distance('sitting')", 3)])
def distance(budget: Budget, text: str, other: str) -> int:
    """How many characters must be put in, left out or replaced to make one text the other (Levenshtein)."""
    return _distance(budget, text, as_text(other))


@method(str, name="similarity", examples=[("'Jon Smith'.similarity('John Smith')", 0.9), ("'a'.similarity('a')", 1.0)])
def similarity(budget: Budget, text: str, other: str) -> float:
    """How alike two texts are, from 0 to 1: the part of the longer one that need not change."""
    longer = max(len(text), len(as_text(other)))
    return 1 - _distance(budget, text, other) / longer if longer else 1.0


def _contains(budget: Budget, text: str, part: object) -> bool:
    budget.search(text, as_text(part, "each part"))
    return part in text  # type: ignore[operator]  # a text, by the line above


def _replace(budget: Budget, text: str, old: str, new: str, limit: int) -> str:
    budget.search(text, old)
    budget.text(len(text) + text.count(old) * max(len(new) - len(old), 0))
    return text.replace(old, new, limit)


def _distance(budget: Budget, text: str, other: str) -> int:
    if max(len(text), len(other)) > COMPARED_CHARS_MAX:
        raise Fault(f"only texts of at most {COMPARED_CHARS_MAX} characters are measured so", over_budget=True)
    budget.spend(len(text) * len(other) // 4)
    above = list(range(len(other) + 1))
    for at, char in enumerate(text, 1):
        row = [at]
        for column, match in enumerate(other, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (char != match)))
        above = row
    return above[-1]
