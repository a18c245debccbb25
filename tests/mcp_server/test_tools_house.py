"""Rules of the house for tools: each is whole, and each use case has one or a reason."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import budflow.services
import mcp_server.tools
from budflow.model.principal import PERMISSIONS
from budflow.services.use_case import UseCase
from mcp_server.front import READING
from mcp_server.registry import build

TESTS = Path(__file__).parent / "tools"

#: Use cases that no tool offers, and why.
WITHOUT_A_TOOL = {
    "answer_credential_request": "What the holder of a link does, so that no agent sees the value.",
    "answer_resume_link": "What the holder of a link does, without a key; answer_wait is the tool.",
    "backfill_schedule": "It starts many executions at once, for a person who asks for them.",
    "complete_expression": "It follows a cursor, for editors; evaluate_expression tells an agent what was meant.",
    "continue_execution": "control_execution continues, too.",
    "create_credential": "Its value would pass through a model; request_credential asks a person.",
    "delete_credential": "Agents have workflows use credentials; what there is of them is for people to decide.",
    "delete_workflow": "Agents unlearn nothing by deleting; it needs an elicited confirmation first.",
    "get_credential": "list_credentials tells what a document needs; grants and values are for people.",
    "get_cluster": "Figures of the installation are for who operates it.",
    "get_status": "Figures of the server are for who operates it.",
    "list_credential_kinds": "list_credentials names the kinds; the page of a request asks a person for the fields.",
    "list_credential_uses": "The audit is for people.",
    "list_schedules": "publish_workflow tells an agent when it starts next.",
    "list_versions": "get_workflow tells the latest number, and diff_versions what changed.",
    "list_waits": "get_execution shows the waits of the execution that an agent is about.",
    "pause_execution": "control_execution pauses, too.",
    "plan_workflow": "validate_workflow tells it in lines.",
    "preview_schedule": "publish_workflow tells an agent when it starts next.",
    "prune_executions": "What is kept is for who operates the server; it happens by itself.",
    "read_credential_request": "What the holder of a link sees.",
    "read_logs": "get_execution tells an agent what failed and why; the log is for people who follow along.",
    "read_resume_link": "What the holder of a link sees; get_execution shows an agent the same.",
    "rotate_encryption_key": "Keys are for who operates the server.",
    "test_credential": "It sends the secret; a workflow that uses it shows an agent whether it works.",
    "trigger_workflow": "What run_workflow and the webhooks call; no request of its own.",
    "unpublish_workflow": "publish_workflow unpublishes, too.",
    "update_credential": "Its value would pass through a model, and who may use it is for people to decide.",
    "wait_execution": "run_workflow waits; get_execution is asked again.",
    "watch_execution": "A stream; comes with resources.",
}


def use_cases() -> set[str]:
    modules = [import_module(f"budflow.services.{module.name}") for module in iter_modules(budflow.services.__path__)]
    return {value.name for module in modules for value in vars(module).values() if isinstance(value, UseCase)}


def test_each_use_case_has_a_tool_or_a_reason() -> None:
    offered = {tool.use_case.name for tool in build().values()}

    assert offered | set(WITHOUT_A_TOOL) == use_cases()
    assert not offered & set(WITHOUT_A_TOOL)


def test_each_file_holds_the_tool_of_its_name_and_has_a_test() -> None:
    files = [module.name for module in iter_modules(mcp_server.tools.__path__)]

    assert files == list(build())
    assert [name for name in files if not (TESTS / f"test_{name}.py").exists()] == []


def test_each_tool_is_described_and_permitted() -> None:
    for tool in build().values():
        assert tool.title and tool.description.endswith(".")
        assert tool.permission in PERMISSIONS
        for name, schema in tool.input_schema()["properties"].items():
            assert "description" in schema or name.endswith("_id"), f"{tool.name}: {name}"


def test_tools_that_only_read_are_known_by_their_verb() -> None:
    assert {tool.name for tool in build().values() if tool.read_only} == {
        name for name in build() if name.startswith(READING)
    }
