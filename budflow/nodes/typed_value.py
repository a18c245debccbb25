"""Types of JSON values as authors declare them: for the inputs of a workflow and for the fields of a form."""

from typing import Any, Literal

from budflow.nodes.json_value import is_number

ValueType = Literal["string", "number", "integer", "boolean", "object", "array", "any"]

#: What is asked for, in the words that messages use.
WORDS: dict[ValueType, str] = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "any": "a value",
}


def is_of_type(value: Any, wanted: ValueType) -> bool:
    """Whether a JSON value is of that type; 3.0 is a whole number, true is no number, and null is of no type."""
    match wanted:
        case "string":
            return isinstance(value, str)
        case "number":
            return is_number(value)
        case "integer":
            return is_number(value) and float(value).is_integer()
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "any":
            return value is not None
