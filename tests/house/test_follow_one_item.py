"""The README's "Follow one item" names files and functions that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## Follow one item\n(.*?)^## ", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"`([\w/]+\.py):([\w.]+)`")

#: What an item cannot leave out on its way from the sender and back.
STATIONS = ("triggers", "services", "execution", "nodes", "storage")


def places() -> list[tuple[str, str]]:
    """File and function of each station, in the order of the text."""
    section = SECTION.search((ROOT / "README.md").read_text())
    assert section is not None
    return PLACE.findall(section[1])


def declares(path: Path, qualified: str) -> bool:
    """Whether the module at `path` declares the function, class or method of this name."""
    inside: list[ast.stmt] = ast.parse(path.read_text()).body
    for name in qualified.split("."):
        found = [
            node
            for node in inside
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        ]
        if not found:
            return False
        inside = found[0].body
    return True


@pytest.mark.parametrize("place", [pytest.param(place, id=":".join(place)) for place in places()])
def test_a_station_is_a_function_that_exists(place: tuple[str, str]) -> None:
    path, function = place

    assert (ROOT / path).is_file()
    assert declares(ROOT / path, function), f"{path} has no {function}"


def test_the_item_passes_every_part_in_the_order_of_the_layers_and_back() -> None:
    passed = list(dict.fromkeys(path.split("/")[1] for path, _ in places()))

    assert [part for part in passed if part in STATIONS] == list(STATIONS)
    assert places()[-1][0].startswith("budflow/triggers/")
