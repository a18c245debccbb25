"""Finds the `{{ … }}` of a template and rewrites each into plain Python source, the first step of compiling it.

Python has no `$name` and no `?.`. They become identifiers that start with letters no expression may contain itself
(DOLLAR, OPTIONAL, KEYWORD): `$name` → `Dname`, `x?.name` → `x.Oname`, `x?.[0]` → `x.O[0]`, and an attribute that is a
keyword, `x.from` → `x.Kfrom`, where D, O and K stand for those letters.
"""

import keyword
import unicodedata
from dataclasses import dataclass

from budflow.errors import BudflowError
from budflow.expressions.foreign import SIGNS
from budflow.expressions.suggest import shorten

OPEN = "{{"
CLOSE = "}}"
DOLLAR = "\u01c3"
OPTIONAL = "\u01c2"
KEYWORD = "\u01c0"
MARKERS = frozenset({DOLLAR, OPTIONAL, KEYWORD})
TEMPLATE_CHARS_MAX = 262_144
SOURCE_CHARS_MAX = 16_384
WORD_CHARS_MAX = 1_000
SOURCES_MAX = 500  # Expressions in one template.
BRACKET_DEPTH_MAX = 50
BRACKETS = {")": "(", "]": "[", "}": "{"}
SIMPLE_ESCAPES = frozenset("\\'\"abfnrtvxuUN\n")
OPERATOR_CHARS = frozenset("+-*/%@&|^~<>=!,:.")


class ExpressionInvalid(BudflowError):
    """The expression cannot be compiled."""

    code = "expression.invalid"
    http_status = 422
    hint = "Expressions are Python expressions with $names, such as {{ $json.total * 1.2 }}."


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands outside of expressions."""

    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """One expression: as written, and as Python. `offset` is where `text` starts in the template."""

    text: str
    code: str
    offset: int
    inserted: tuple[int, ...] = ()  # Where `code` has a character more than `text`, as offsets into `code`.

    def position(self, code_offset: int) -> int:
        """Where in the template an offset into `code` stands."""
        return self.offset + min(code_offset - sum(at < code_offset for at in self.inserted), len(self.text))


def has_expression(text: str) -> bool:
    """Whether the text may hold an expression at all."""
    return OPEN in text


def split(text: str) -> tuple[Literal | Source, ...]:
    """The template in order, literals and expressions; raises ExpressionInvalid with the offset of what is wrong."""
    if len(text) > TEMPLATE_CHARS_MAX:
        raise ExpressionInvalid(f"The text has more than {TEMPLATE_CHARS_MAX:,} characters.", offset=TEMPLATE_CHARS_MAX)
    parts: list[Literal | Source] = []
    at = 0
    while (start := text.find(OPEN, at)) >= 0:
        if start > at:
            parts.append(Literal(text[at:start]))
        if len(parts) > SOURCES_MAX:
            raise ExpressionInvalid(f"The text has more than {SOURCES_MAX} parts.", offset=start)
        source = read(text, start)
        parts.append(source)
        at = source.offset + len(source.text) + len(CLOSE)
    if at < len(text):
        parts.append(Literal(text[at:]))
    return tuple(parts)


def read(text: str, start: int) -> Source:
    """The expression whose `{{` stands at `start`; raises ExpressionInvalid."""
    return _Scanner(text, start).source()


def attribute_name(attr: str) -> tuple[str, bool]:
    """What an attribute of rewritten source was in the original: its name, and whether `?.` stood before it."""
    if attr[:1] == OPTIONAL:
        return attr[1:], True
    return attr.removeprefix(KEYWORD), False


def original(code: str) -> str:
    """Rewritten source, or a compiler's message about it, with `$` and `?.` back in place."""
    return code.replace(f".{OPTIONAL}", "?.").replace(KEYWORD, "").replace(DOLLAR, "$").replace(OPTIONAL, "?.")


class _Scanner:
    """Reads one expression from its `{{` on, copying it into `out` as it goes."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start
        self.at = start + len(OPEN)
        self.out: list[str] = []
        self.out_chars = 0
        self.inserted: list[int] = []
        self.closed_in_comment = False

    def source(self) -> Source:
        begin = self.at
        self.code(field_of=None)
        text = self.text[begin : self.at]
        code = "".join(self.out)
        if not code.strip():  # A comment is blank there.
            raise self.error("The expression is empty.", self.start)
        return Source(text, code, begin, tuple(self.inserted))

    def code(self, field_of: str | None) -> None:
        """Copy code up to what ends it: `}}`, or in a field of the f-string with these quotes `}`, `:` or `!`."""
        brackets: list[tuple[str, int]] = []
        while self.at < len(self.text):
            if self.at - self.start > SOURCE_CHARS_MAX:
                raise self.error(f"The expression has more than {SOURCE_CHARS_MAX:,} characters.", self.start)
            char = self.text[self.at]
            if not brackets and self.ends(char, field_of):
                return
            if field_of is not None and self.text.startswith(field_of, self.at):
                raise self.error("An f-string's field is not closed, or uses the f-string's own quotes.")
            if char in "\"'":
                self.string("")
            elif char.isidentifier():
                self.word()
            elif char.isdigit():
                self.number()
            elif char in "([{":
                brackets.append((char, self.at))
                if len(brackets) > BRACKET_DEPTH_MAX:
                    raise self.error(f"Brackets are nested deeper than {BRACKET_DEPTH_MAX}.")
                self.copy(1)
            elif char in BRACKETS:
                if not brackets:
                    raise self.error(f"This `{char}` closes nothing.", hint="Remove it, or write what it closes.")
                bracket, opened = brackets.pop()
                if bracket != BRACKETS[char]:
                    closing = next(one for one, other in BRACKETS.items() if other == bracket)
                    raise self.error(
                        f"This `{bracket}` is never closed.", opened, hint=f"Write `{closing}` before the `{char}`."
                    )
                self.copy(1)
            else:
                self.sign(char, in_field=field_of is not None)
        if brackets:
            bracket, opened = brackets[-1]
            raise self.error(f"This `{bracket}` is never closed.", opened)
        hint = 'Close it with }}, or write {{ "{{" }} for the text.'
        if self.closed_in_comment:
            hint = "A comment ends with its line: write the }} that closes it on the next one."
        raise self.error("This `{{` is never closed.", self.start, hint=hint)

    def ends(self, char: str, field_of: str | None) -> bool:
        following = self.text[self.at + 1 : self.at + 2]
        if field_of is None:
            return char == "}" and following == "}"
        if char == "=" and following != "=" and self.text[self.at - 1] not in "=!<>":
            raise self.error("`=` is not supported in an f-string's field.")
        return char in "}:" or (char == "!" and following != "=")

    def sign(self, char: str, *, in_field: bool) -> None:
        """Whitespace, an operator, `$`, `?.` or a comment."""
        if char == "$":
            self.name()
        elif self.text.startswith("?.", self.at):
            self.optional()
        elif char == "#":
            if in_field:
                raise self.error("A comment cannot stand in an f-string's field.")
            most = self.start + SOURCE_CHARS_MAX + 1
            end = self.text.find("\n", self.at, most)
            end = min(len(self.text), most) if end < 0 else end
            self.closed_in_comment |= CLOSE in self.text[self.at : end]
            self.emit(" " * (end - self.at))
            self.at = end
        elif (foreign := self.foreign_sign()) is not None:
            shown = "A backtick" if foreign == "`" else f"`{foreign}`"
            raise self.error(f"{shown} has no meaning here.", hint=SIGNS[foreign])
        elif char in " \t\r\n" or char in OPERATOR_CHARS:
            self.copy(2 if self.text.startswith("!=", self.at) else 1)
        else:
            raise self.error(f"{char!r} has no meaning here.")

    def foreign_sign(self) -> str | None:
        """What stands here and has a meaning in JavaScript only."""
        found = (sign for sign in SIGNS if self.text.startswith(sign, self.at))
        return next((sign for sign in found if sign != "!" or not self.text.startswith("!=", self.at)), None)

    def name(self) -> None:
        """`$name` → a marked identifier."""
        begin = self.at
        self.at += 1
        word = self.take_word()
        if not word or not word.isascii() or word[0] == "_":
            hint = "Write $node.KEY for what a node gave." if self.text.startswith("(", self.at) else None
            raise self.error("`$` must be followed by a name, such as $json.", begin, hint=hint)
        self.emit(DOLLAR + word)

    def optional(self) -> None:
        """`?.name` and `?.[…]` → a marked attribute."""
        begin = self.at
        self.at += 2
        self.emit("." + OPTIONAL)
        if self.text.startswith("[", self.at):
            return
        word = self.take_word()
        if not word:
            raise self.error("`?.` must be followed by a name or by [.", begin)
        self.emit(word)

    def word(self) -> None:
        """An identifier, a keyword, or the prefix of a string."""
        begin = self.at
        word = self.take_word()
        if self.text[self.at : self.at + 1] in ("'", '"') and len(word) <= 2:
            self.at = begin
            self.string(word)
            return
        if keyword.iskeyword(word) and self.follows_dot(begin):
            self.inserted.append(self.out_chars)
            self.emit(KEYWORD)
        self.emit(word)

    def take_word(self) -> str:
        begin = self.at
        while self.at < len(self.text) and ("a" + self.text[self.at]).isidentifier():
            self.at += 1
            if self.at - begin > WORD_CHARS_MAX:  # Normalising takes the square of the marks in it.
                raise self.error(f"A name has more than {WORD_CHARS_MAX:,} characters.", begin)
        word = self.text[begin : self.at]
        if word[:1] == "_" or unicodedata.normalize("NFKC", word)[:1] == "_":
            raise self.error(
                f"`{shorten(word, 40)}` starts with an underscore.", begin, hint='Read such a key as x["_key"].'
            )
        # Python folds compatibility letters (ﬁ → fi), which would read another key than the one written.
        if word and (unicodedata.normalize("NFKC", word) != word or not MARKERS.isdisjoint(word)):
            raise self.error(f"`{shorten(word, 40)}` is not a plain name.", begin, hint='Read such a key as x["key"].')
        return word

    def follows_dot(self, begin: int) -> bool:
        before = self.text[self.start + len(OPEN) : begin].rstrip()
        return before.endswith(".") and not before[:-1].endswith(".")

    def number(self) -> None:
        """Digits with their letters, so that `1if` is refused here and not merely warned about by Python."""
        begin = self.at
        while self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] in "._"):
            exponent = self.text[self.at] in "eE" and self.text[begin : begin + 2].lower() not in ("0x", "0b", "0o")
            self.at += 1
            if exponent and self.text[self.at : self.at + 1] in ("+", "-"):
                self.at += 1
        word = self.text[begin : self.at]
        if not _is_number(word):
            raise self.error(
                f"`{shorten(word, 40)}` is not a number.", begin, hint="Put a space between a number and a word."
            )
        self.emit(word)

    def string(self, prefix: str) -> None:
        """A string literal with its prefix; in an f-string the fields are code again."""
        begin = self.at
        if prefix.lower() not in ("", "r", "f", "rf", "fr"):
            raise self.error(f"A string cannot have the prefix `{prefix}`.")
        self.copy(len(prefix))
        quote = self.text[self.at]
        quote = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.copy(len(quote))
        raw, formatted = "r" in prefix.lower(), "f" in prefix.lower()
        while self.at < len(self.text):
            char = self.text[self.at]
            if self.text.startswith(quote, self.at):
                self.copy(len(quote))
                return
            if char == "\n" and len(quote) == 1:
                break
            if char == "\\":
                self.escape(raw=raw)
            elif formatted and char in "{}":
                self.brace(char, quote)
            else:
                self.copy(1)
        raise self.error("This string is never closed.", begin, hint="It ends with the quote that it begins with.")

    def escape(self, *, raw: bool) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        octal = following.isdigit() and following in "01234567"
        if not raw and not octal and following not in SIMPLE_ESCAPES:
            raise self.error(f"`\\{following}` is not an escape.", hint="Write \\\\ for a backslash.")
        if not raw and octal and following > "3" and self.text[self.at + 2 : self.at + 4].isdigit():
            raise self.error("An octal escape ends at \\377.")
        self.copy(2)

    def brace(self, char: str, quote: str, depth: int = 0) -> None:
        """`{{`, `}}` or a field of an f-string."""
        if not depth and self.text.startswith(char * 2, self.at):
            self.copy(2)
            return
        if char == "}" or depth > 1:
            raise self.error("This brace has no partner in the f-string.")
        begin = self.at
        self.copy(1)
        self.code(field_of=quote)
        if self.text[self.at] == "!":
            self.copy(2)
        if self.text[self.at : self.at + 1] == ":":
            self.copy(1)
            while self.text[self.at : self.at + 1] not in ("}", "") and not self.text.startswith(quote, self.at):
                if self.text[self.at] in "\\\n":
                    raise self.error("A format cannot hold a backslash or a line break.")
                if self.text[self.at] == "{":
                    self.brace("{", quote, depth + 1)
                else:
                    self.copy(1)
        if self.text[self.at : self.at + 1] != "}":
            raise self.error("This field of the f-string is never closed.", begin)
        self.copy(1)

    def copy(self, chars: int) -> None:
        self.emit(self.text[self.at : self.at + chars])
        self.at += chars

    def emit(self, code: str) -> None:
        self.out.append(code)
        self.out_chars += len(code)

    def error(self, message: str, at: int | None = None, *, hint: str | None = None) -> ExpressionInvalid:
        offset = self.at if at is None else at
        line = self.text.count("\n", 0, offset) + 1
        column = offset - self.text.rfind("\n", 0, offset)
        return ExpressionInvalid(
            f"{message} (line {line}, column {column})", hint=hint, offset=offset, line=line, column=column
        )


def _is_number(word: str) -> bool:
    if not word.isascii():
        return False
    try:
        if word[:2].lower() in ("0x", "0o", "0b"):
            int(word, 0)
        else:
            float(word)
    except ValueError:
        return False
    return word[:1] != "0" or not word.replace("_", "").isdigit() or not word.strip("0_")
