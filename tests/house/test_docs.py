"""The docs say what the code says: generated pages are fresh, nothing is left out, links lead somewhere."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from budflow.api.app import create_api
from budflow.cli.main import command_names, load_command
from budflow.errors import BudflowError
from budflow.expressions.evaluate import NAMES, RESERVED_NAMES
from budflow.graph import document as shapes
from budflow.graph.validate import check
from budflow.model.event import Event
from budflow.model.principal import PERMISSIONS
from budflow.nodes.registry import build
from budflow.settings import Settings
from mcp_server.registry import build as build_tools
from tests.house.test_errors import modules, subclasses

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)\s]*)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
every_page = pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#{1,6} (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every whole workflow document in the docs, and every one in examples/."""
    for page in PAGES:
        for language, text in FENCE.findall(page.read_text()):
            value = json.loads(text) if language == "json" else None
            if isinstance(value, dict) and "format" in value and "nodes" in value:
                yield str(page.relative_to(ROOT)), value
    for path in sorted((ROOT / "examples").rglob("*.json")):
        value = json.loads(path.read_text())
        if isinstance(value, dict) and "format" in value:
            yield str(path.relative_to(ROOT)), value


def commands(command: Any, name: str) -> Iterator[str]:
    """A command and those below it, as they are typed."""
    yield name
    for inner, found in getattr(command, "commands", {}).items():
        yield from commands(found, f"{name} {inner}")


def test_generated_pages_are_fresh() -> None:
    checked = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert checked.returncode == 0, checked.stderr


@every_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        found = (page.parent / path) if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)

    assert broken == []


@every_page
def test_blocks_of_json_are_json(page: Path) -> None:
    for language, text in FENCE.findall(page.read_text()):
        if language == "json":
            json.loads(text)


@pytest.mark.parametrize(("where", "document"), [pytest.param(*found, id=found[0]) for found in documents()])
def test_workflow_documents_that_are_shown_have_no_problems(where: str, document: dict[str, Any]) -> None:
    assert [f"{problem.path}: {problem.message}" for problem in check(document, build()).problems] == []


@pytest.mark.parametrize(
    "shape", [shapes.DocumentShape, shapes.NodeShape, shapes.RetryShape, shapes.SettingsShape, shapes.EdgeShape]
)
def test_the_format_page_names_every_field(shape: type[BaseModel]) -> None:
    page = (DOCS / "workflow-format.md").read_text()
    names = [field.alias or name for name, field in shape.model_fields.items()]

    assert [name for name in names if f"`{name}`" not in page and f'"{name}"' not in page] == []


def test_every_error_code_is_explained() -> None:
    page = (REFERENCE / "errors.md").read_text()
    for name in modules():
        importlib.import_module(name)
    ours = ("budflow.", "mcp_server.", "ray_jobs.")
    codes = {error.code for error in subclasses(BudflowError) if error.__module__.startswith(ours)}
    codes -= {BudflowError.code}  # Of families of errors, which nobody raises.

    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_every_code_of_a_problem_is_explained() -> None:
    page = (REFERENCE / "errors.md").read_text()
    sources = [path.read_text() for part in ("graph", "api") for path in (ROOT / "budflow" / part).rglob("*.py")]
    codes = {code for source in sources for code in re.findall(r'Problem\(\s*"([a-z_]+\.[a-z_]+)"', source)}
    reasons = {reason for source in sources for reason in re.findall(r'Problem\(\s*f"{code}\.([a-z_]+)"', source)}
    codes |= {f"{subject}.{reason}" for subject in ("document", "params") for reason in reasons}

    assert codes
    assert reasons
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_the_names_that_the_format_page_explains_are_those_that_are_filled() -> None:
    page = (DOCS / "workflow-format.md").read_text()

    assert set(re.findall(r"^\| `\$(\w+)` \|", page, re.MULTILINE)) == NAMES.keys() - RESERVED_NAMES


def test_every_setting_is_explained() -> None:
    page = (REFERENCE / "settings.md").read_text()

    assert [name for name in Settings.model_fields if f"`BUDFLOW_{name.upper()}`" not in page] == []


def test_every_command_is_explained() -> None:
    page = anchors(REFERENCE / "cli.md")
    known = [found for name in command_names() for found in commands(load_command(name), f"budflow {name}")]

    assert [name for name in known if name.replace(" ", "-") not in page] == []


def test_every_route_is_explained() -> None:
    page = (REFERENCE / "http-api.md").read_text()
    settings = Settings.model_construct(host="127.0.0.1")
    runtime: Any = SimpleNamespace(
        services=SimpleNamespace(settings=settings),
        keys=None,
        webhook_door=None,
        resume_door=None,
        credential_request_door=None,
    )
    paths = create_api(runtime).openapi()["paths"]
    known = [f"## {method.upper()} {path}" for path, methods in paths.items() for method in methods]

    assert [heading for heading in known if heading not in page] == []


def test_every_tool_is_explained_with_its_permission() -> None:
    page = (REFERENCE / "mcp-tools.md").read_text()

    assert [name for name in build_tools() if f"## {name}\n" not in page] == []
    assert [tool.name for tool in build_tools().values() if f"permission `{tool.permission}`" not in page] == []


def test_every_permission_is_explained() -> None:
    page = (REFERENCE / "permissions.md").read_text()

    assert [name for name in PERMISSIONS if f"`{name}`" not in page] == []


def test_every_event_is_explained() -> None:
    page = (REFERENCE / "events.md").read_text()

    assert [kind.TYPE for kind in get_args(Event) if f"## `{kind.TYPE}`" not in page] == []


def test_every_node_type_has_its_page() -> None:
    assert [
        spec.name for spec in build().types() if not (DOCS / "nodes" / f"{spec.name.replace('.', '/')}.md").is_file()
    ] == []
