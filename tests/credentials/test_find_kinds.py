"""The kinds of credentials: found by walking, each declared as it must be, cheap to find."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator

from budflow.credentials import kinds
from budflow.credentials.find_kinds import KindBroken, find_kinds
from budflow.model.credential_kind import CredentialKind
from budflow.model.secret import SECRET_KEYWORD, Secret

KINDS = find_kinds()
every_kind = pytest.mark.parametrize("name", KINDS)

DECLARED = '''
from typing import ClassVar
from pydantic import Field
from budflow.model.credential_kind import CredentialKind

class One(CredentialKind):
    """One."""
    name: ClassVar[str] = "one"
    field: str = Field(description="A field.")
'''


def package(path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> ModuleType:
    """A package of kinds with the module `one`."""
    folder = path / "odd_kinds"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "one.py").write_text(source)
    monkeypatch.syspath_prepend(str(path))
    for name in ("odd_kinds", "odd_kinds.one"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__("odd_kinds")


def test_every_file_of_the_folder_is_a_kind_and_has_its_test() -> None:
    files = sorted(path.stem for path in Path(*kinds.__path__).glob("*.py") if path.stem != "__init__")

    assert list(KINDS) == files
    assert [name for name in KINDS if not (Path(__file__).parent / "kinds" / f"test_{name}.py").is_file()] == []


def test_the_mapping_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        KINDS["other"] = KINDS["bearer"]  # type: ignore[index] # that is what is tried


@every_kind
def test_each_can_be_tried_by_signing_a_request_or_by_a_check_of_its_own(name: str) -> None:
    assert KINDS[name].signs() or KINDS[name].check is not CredentialKind.check


@every_kind
def test_each_has_a_secret_field_that_its_schema_marks(name: str) -> None:
    schema = KINDS[name].model_json_schema()

    Draft202012Validator.check_schema(schema)
    assert SECRET_KEYWORD in str(schema)
    assert schema["additionalProperties"] is False
    assert [field for field, shape in schema["properties"].items() if not shape.get("description")] == []


@every_kind
def test_the_examples_of_its_fields_are_what_its_schema_allows(name: str) -> None:
    schema = KINDS[name].model_json_schema()
    for field, shape in schema["properties"].items():
        for example in shape.get("examples", ()):
            if field != "private_key":  # Nobody's key stands in the docs, so it is no whole one.
                Draft202012Validator({**schema, "required": []}).validate({field: example})


@every_kind
def test_no_secret_has_a_default_that_could_be_shown(name: str) -> None:
    defaults = [field.default for field in KINDS[name].model_fields.values()]

    assert not any(isinstance(default, Secret) for default in defaults)


def test_a_whole_declaration_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(find_kinds(package(tmp_path, monkeypatch, DECLARED))) == ["one"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "declares 0 kinds"),
        ("from budflow.credentials.kinds.bearer import Bearer", "declares 0 kinds"),
        (DECLARED + DECLARED.replace("One", "Two"), "declares 2 kinds"),
        (DECLARED.replace('= "one"', '= "another"'), "is not named `one`"),
        (DECLARED.replace('    name: ClassVar[str] = "one"\n', ""), "is not named `one`"),
        (DECLARED.replace('"""One."""', ""), "has no docstring"),
        (DECLARED.replace('Field(description="A field.")', "Field()"), "does not describe: field"),
    ],
)
def test_a_declaration_that_lacks_something_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    with pytest.raises(KindBroken, match=message):
        find_kinds(package(tmp_path, monkeypatch, source))


def test_finding_them_loads_no_heavy_library() -> None:
    code = (
        "import sys; from budflow.credentials.find_kinds import find_kinds; find_kinds(); "
        "print([name for name in ('botocore', 'cryptography', 'bcrypt', 'httpx2') if name in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
