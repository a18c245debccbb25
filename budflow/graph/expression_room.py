"""How much the expressions of one document may take when they are compiled, which is done wherever it is looked at."""

from budflow.errors import BudflowError
from budflow.expressions.compile import Template, compile_template
from budflow.expressions.tokenize import ExpressionInvalid
from budflow.model.workflow import EXPRESSIONS_BYTES_MAX

_BYTES_A_CHAR = 64  # What is charged for what cannot be compiled, but may have taken as long.


class ExpressionsTooLarge(BudflowError):
    """The expressions of the document are too large together."""

    code = "document.expressions_too_large"
    http_status = 422
    hint = "Let a code node do what long expressions do, or split the workflow and call the parts."


class ExpressionRoom:
    """Compiles the expressions of one document until they have taken all there is; from then on it is `full`."""

    def __init__(self, size_bytes: int = EXPRESSIONS_BYTES_MAX) -> None:
        self._left = size_bytes
        self.full = False

    def compile(self, text: str) -> Template:
        """The template. Raises ExpressionInvalid, or ExpressionsTooLarge when there is no room left."""
        if self._left < 0:
            self.full = True
            raise ExpressionsTooLarge
        try:
            template = compile_template(text)
        except ExpressionInvalid:
            self._left -= len(text) * _BYTES_A_CHAR
            raise
        self._left -= template.size_bytes
        return template
