"""Text: capitals and small letters, and the ways to write a name."""

import unicodedata

from budflow.expressions.budget import Budget
from budflow.expressions.declare import method

GROWTH_MAX = 3  # Characters one character becomes at most when its case changes.
SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "but",
        "by",
        "en",
        "for",
        "from",
        "how",
        "if",
        "in",
        "nor",
        "of",
        "on",
        "only",
        "onto",
        "or",
        "out",
        "over",
        "per",
        "so",
        "than",
        "that",
        "the",
        "to",
        "upon",
        "vs",
        "via",
        "when",
        "with",
        "yet",
    ]
)


@method(str, name="upper", examples=[("'straße'.upper()", "STRASSE")])
def upper(budget: Budget, text: str) -> str:
    """The text in capitals."""
    budget.text(len(text) * GROWTH_MAX if not text.isascii() else len(text))
    return text.upper()


@method(str, name="lower", examples=[("'Ada LOVELACE'.lower()", "ada lovelace")])
def lower(budget: Budget, text: str) -> str:
    """The text in small letters."""
    budget.text(len(text))
    return text.lower()


@method(str, name="title", examples=[("'ada of lovelace'.title()", "Ada Of Lovelace")])
def title(budget: Budget, text: str) -> str:
    """The text with a capital at the start of each word, and small letters after it."""
    budget.text(len(text))
    return text.title()


@method(str, name="capitalize", examples=[("'aDA'.capitalize()", "Ada")])
def capitalize(budget: Budget, text: str) -> str:
    """The text with its first letter in capitals and the rest small."""
    budget.text(len(text))
    return text.capitalize()


@method(str, name="swap_case", examples=[("'aBc'.swap_case()", "AbC")])
def swap_case(budget: Budget, text: str) -> str:
    """The text with capitals made small, and small letters capital."""
    budget.text(len(text) * GROWTH_MAX)
    return text.swapcase()


@method(
    str,
    name="title_case",
    examples=[("'the quick brown FOX of the north'.title_case()", "The Quick Brown Fox of the North")],
)
def title_case(budget: Budget, text: str) -> str:
    """The text as an English headline: capitals at the start of each word but the short ones inside."""
    _charge_words(budget, text)
    words = text.lower().split(" ")
    return " ".join(
        word if at and word in SMALL_WORDS else word[:1].upper() + word[1:] for at, word in enumerate(words)
    )


@method(
    str,
    name="sentence_case",
    examples=[("'THE END. was it? yes!'.sentence_case()", "The end. Was it? Yes!")],
)
def sentence_case(budget: Budget, text: str) -> str:
    """The text in small letters, with a capital at the start of each sentence."""
    _charge_words(budget, text)
    made: list[str] = []
    begins = True
    for char in text.lower():
        if begins and char.isalpha():
            made.append(char.upper())
            begins = False
        else:
            made.append(char)
            begins = char in ".!?" or (begins and not char.isalnum())
    return "".join(made)


@method(
    str,
    name="camel_case",
    examples=[("'first name'.camel_case()", "firstName"), ("'HTTP_status-code'.camel_case()", "httpStatusCode")],
)
def camel_case(budget: Budget, text: str) -> str:
    """The words as one, with a capital at the start of each but the first."""
    words = words_of(budget, text)
    return "".join(word.lower() if not at else word.capitalize() for at, word in enumerate(words))


@method(str, name="pascal_case", examples=[("'first name'.pascal_case()", "FirstName")])
def pascal_case(budget: Budget, text: str) -> str:
    """The words as one, with a capital at the start of each."""
    return "".join(word.capitalize() for word in words_of(budget, text))


@method(
    str,
    name="snake_case",
    examples=[("'firstName'.snake_case()", "first_name"), ("'Total (EUR)'.snake_case()", "total_eur")],
)
def snake_case(budget: Budget, text: str) -> str:
    """The words in small letters, joined by underscores."""
    return "_".join(words_of(budget, text)).lower()


@method(str, name="constant_case", examples=[("'firstName'.constant_case()", "FIRST_NAME")])
def constant_case(budget: Budget, text: str) -> str:
    """The words in capitals, joined by underscores."""
    return "_".join(words_of(budget, text)).upper()


@method(str, name="kebab_case", examples=[("'firstName'.kebab_case()", "first-name")])
def kebab_case(budget: Budget, text: str) -> str:
    """The words in small letters, joined by hyphens."""
    return "-".join(words_of(budget, text)).lower()


@method(str, name="slug", examples=[("'Ünder the Bridge!'.slug()", "ünder-the-bridge")])
def slug(budget: Budget, text: str) -> str:
    """The text as small letters and digits joined by hyphens, for an address."""
    budget.text(len(text) * GROWTH_MAX)
    budget.spend(len(text) // 8)
    words = "".join(char if char.isalnum() else " " for char in text.lower()).split()
    return "-".join(words)


@method(str, name="without_accents", examples=[("'déjà vu, Straße, Łódź'.without_accents()", "deja vu, Strasse, Lodz")])
def without_accents(budget: Budget, text: str) -> str:
    """The text with letters of other alphabets' kinds replaced by the nearest of ASCII, as far as there is one."""
    if text.isascii():
        return text
    _charge_words(budget, text)
    # Letter by letter: putting a long run of marks in order, as the standard has it, takes the square of its length.
    return text.translate(UNMARKED).translate({ord(char): _unmarked(char) for char in set(text) if not char.isascii()})


def words_of(budget: Budget, text: str) -> list[str]:
    """The words of a name: runs of letters and digits, parted where a small letter meets a capital."""
    _charge_words(budget, text)
    words: list[str] = []
    begin = None
    for at, char in enumerate(text):
        if not char.isalnum():
            if begin is not None:
                words.append(text[begin:at])
            begin = None
        elif begin is None:
            begin = at
        elif char.isupper():
            before, following = text[at - 1], text[at + 1 : at + 2]
            if not before.isupper() or (following.islower() and following.isalpha()):
                words.append(text[begin:at])
                begin = at
    if begin is not None:
        words.append(text[begin:])
    budget.elements(len(words))
    return words


def _unmarked(char: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))


def _charge_words(budget: Budget, text: str) -> None:
    budget.text(len(text) * GROWTH_MAX)
    budget.spend(len(text) // 4)  # A walk through the characters, in Python.


UNMARKED = str.maketrans(
    {
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "Th",
        "\u0131": "i",
        "ħ": "h",
        "Ħ": "H",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u2013": "-",
        "\u2014": "-",
        "«": '"',
        "»": '"',
    }
)
