"""Mode `function`: the code defines a function that is called with each item's values."""

import pytest

from tests.sandbox.worker.broker import Broker

PRICE = """
RATE = params.get("rate", 2)

def _double(value):
    return value * RATE

def price(amount: float, name: str | None = None, *, tags: list[str] = []) -> dict:
    '''What it costs.'''
    print("pricing", name)
    return {"price": _double(amount), "name": name, "tags": tags}
"""


def test_it_is_called_once_for_each_item_and_its_items_come_from_there(warm: Broker) -> None:
    outcome = warm.run(PRICE, [{"amount": 1}, {"amount": 2.5, "name": "b", "tags": ["x"]}], "function")

    assert outcome.items == [{"price": 2, "name": None, "tags": []}, {"price": 5.0, "name": "b", "tags": ["x"]}]
    assert outcome.sources == [0, 1]
    assert outcome.printed == ["pricing None", "pricing b"]


@pytest.mark.parametrize(("returned", "item"), [("3", 3), ("None", None), ("[1, 2]", [1, 2]), ("'x'", "x")])
def test_what_is_no_dict_becomes_one(warm: Broker, returned: str, item: object) -> None:
    assert warm.run(f"def main(): return {returned}", [{}], "function").items == [{"value": item}]


def test_of_several_functions_main_is_called(warm: Broker) -> None:
    code = "from json import dumps\ndef other(): ...\ndef main(): return {'called': 'main'}"

    assert warm.run(code, [{}], "function").items == [{"called": "main"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "missing a required argument: 'amount'"),
        ({"amount": 1, "colour": "red"}, "got an unexpected keyword argument 'colour'"),
        ({"amount": "1"}, "argument 'amount' is '1', and should be float"),
        ({"amount": True}, "argument 'amount' is True, and should be float"),
        ({"amount": 1, "name": 3}, "argument 'name' is 3, and should be str or None"),
        ({"amount": 1, "tags": {}}, "argument 'tags' is {}, and should be list"),
    ],
)
def test_arguments_that_do_not_fit_fail_their_item_alone(
    warm: Broker, arguments: dict[str, object], message: str
) -> None:
    outcome = warm.run(PRICE, [arguments, {"amount": 1}], "function")

    assert len(outcome.items) == 1
    assert [(each["code"], each["item"]) for each in outcome.failed] == [("code.failed", 0)]
    assert message in outcome.failed[0]["message"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1", "The code defines no function; write def main(…): …"),
        ("def a(): ...\ndef b(): ...", "The code defines a, b: name the one to call main, or others _main"),
        ("from json import dumps", "The code defines no function; write def main(…): …"),
    ],
)
def test_code_without_the_one_function_says_so(warm: Broker, code: str, message: str) -> None:
    outcome = warm.run(code, [{}], "function")

    assert (outcome.code, outcome.message) == ("code.invalid", message)


def test_annotations_that_cannot_be_read_are_not_checked(warm: Broker) -> None:
    outcome = warm.run("def main(a: 'Unknown'): return {'a': a}", [{"a": 1}], "function")

    assert outcome.items == [{"a": 1}]


def test_an_error_at_the_top_level_names_its_line(warm: Broker) -> None:
    outcome = warm.run("def main(): ...\n1 / 0", [{}], "function")

    assert (outcome.code, outcome.message) == ("code.failed", "ZeroDivisionError: division by zero")
