"""Tools as they are declared: names, models and schemas follow from the use case."""

from budflow.services.list_executions import list_executions
from mcp_server.tool import Tool
from mcp_server.tools.list_executions import ListExecutionsBriefly
from mcp_server.tools.run_workflow import TOOL as RUN_WORKFLOW


def test_a_use_case_gives_name_models_and_permission() -> None:
    tool = Tool.of(list_executions, title="List", description="List executions.", read_only=True)

    assert (tool.name, tool.permission) == ("list_executions", "execution:read")
    assert tool.input_schema()["properties"]["limit"]["default"] == 50
    assert "next_cursor" in tool.output_schema()["properties"]


def test_arguments_with_other_defaults_take_the_place_of_the_request() -> None:
    tool = Tool.of(list_executions, title="List", description="List.", arguments=ListExecutionsBriefly)

    assert tool.input_schema()["properties"]["limit"]["default"] == 15


def test_a_call_of_its_own_gives_the_name_and_the_models() -> None:
    assert RUN_WORKFLOW.name == "run_workflow"
    assert RUN_WORKFLOW.use_case.name == "start_execution"
    assert "next" in RUN_WORKFLOW.output_schema()["properties"]


def test_a_schema_says_nothing_twice() -> None:
    schema = RUN_WORKFLOW.input_schema()

    assert "title" not in schema
    assert schema["properties"]["version"] == {
        "type": ["integer", "null"],
        "minimum": 1,
        "description": "The published one when left out; the latest where none is.",
    }
    assert schema["additionalProperties"] is False
