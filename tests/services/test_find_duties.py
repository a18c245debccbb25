import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from budflow.services.find_duties import DutyBroken, find_duties

ALL = {"forget_old_keys", "forget_old_uses", "prune_executions", "sweep_shared_blobs"}

GOOD = '''
from budflow.services.leader_only import leader_only

@leader_only
async def good(services, leading):
    """Do good."""
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Makes a package of the files given by their names."""

    def make(**files: str) -> ModuleType:
        folder = tmp_path / "some_duties"
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        return importlib.import_module("some_duties")

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] == "some_duties"]:
        del sys.modules[name]


def test_every_file_is_a_duty() -> None:
    names = [duty.name for duty in find_duties()]

    assert names == sorted(names)
    assert set(names) >= ALL


def test_a_new_file_is_all_that_a_new_duty_takes(package: Callable[..., ModuleType]) -> None:
    found = find_duties(package(good=GOOD, better=GOOD.replace("good", "better")))

    assert [duty.name for duty in found] == ["better", "good"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "declares 0 duties"),
        (GOOD + GOOD.replace("def good", "def other"), "declares 2 duties"),
        (GOOD.replace("def good", "def other"), "named `other`"),
        (GOOD.replace('"""Do good."""', "..."), "no docstring"),
        ("from budflow.services.duties.forget_old_keys import forget_old_keys", "declares 0 duties"),
    ],
)
def test_a_file_that_declares_no_duty_as_it_must_is_refused(
    package: Callable[..., ModuleType], text: str, message: str
) -> None:
    with pytest.raises(DutyBroken, match=message):
        find_duties(package(good=text))
