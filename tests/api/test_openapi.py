"""The OpenAPI document tells the truth: each operation has a permission, texts, and examples that fit its schemas."""

import pkgutil
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter

from budflow import services
from budflow.api.app import API_PREFIX
from budflow.api.examples import DOCUMENT
from budflow.api.openapi import summary
from budflow.api.route import find_routes
from budflow.graph.validate import check
from budflow.model.principal import PERMISSIONS
from budflow.nodes.registry import build
from budflow.services.use_case import UseCase
from tests.http_server import HttpServer

ROUTES = find_routes()
#: What needs no key, and so no permission.
OPEN = {"healthz", "readyz"}
#: What is no use case and has a permission of its own: Prometheus wants its own path and format.
BESIDE = {"metrics"}
#: A use case without a route of its own, with the reason.
NOT_A_ROUTE = {
    "answer_credential_request": "the page behind a link calls it, without a key",
    "answer_resume_link": "the resume door calls it, without a key",
    "read_credential_request": "as answer_credential_request",
    "read_resume_link": "as answer_resume_link",
    "trigger_workflow": "start_execution and the webhook door call it",
}


@pytest.fixture
async def document(server: HttpServer) -> dict[str, Any]:
    answer = await server.stranger.get(f"{API_PREFIX}/openapi.json")
    shape: dict[str, Any] = answer.json()
    return shape


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield {**operation, "path": path, "method": method.upper()}


def use_cases() -> Iterator[str]:
    for module in pkgutil.iter_modules(services.__path__):
        found = __import__(f"{services.__name__}.{module.name}", fromlist=[module.name])
        if isinstance(getattr(found, module.name, None), UseCase):
            yield module.name


async def test_every_operation_declares_a_permission_or_is_known_to_be_open(document: dict[str, Any]) -> None:
    declared = {operation["operationId"]: operation.get("x-permission") for operation in operations(document)}

    assert {name for name, permission in declared.items() if permission is None} == OPEN
    assert {permission for permission in declared.values() if permission} <= PERMISSIONS.keys()
    assert declared.keys() - OPEN - BESIDE == ROUTES.keys()


async def test_every_operation_has_its_texts_and_names_its_key(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert 5 < len(operation["summary"]) < 80, operation["operationId"]
        assert operation["description"]
        assert (operation.get("security") == [{"key": []}]) == (operation["operationId"] not in OPEN)
        assert all(parameter["description"] for parameter in operation.get("parameters", ()))
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


async def test_every_path_parameter_is_described(document: dict[str, Any]) -> None:
    for operation in operations(document):
        named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert named == {part[1:-1] for part in operation["path"].split("/") if part.startswith("{")}


async def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    seen = 0
    for operation in operations(document):
        contents = [answer["content"] for answer in operation["responses"].values()]
        if "requestBody" in operation:
            contents.append(operation["requestBody"]["content"])
        for content in contents:
            for media in content.values():
                fits(media["example"], media.get("schema", {}), document)
                seen += 1
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                fits(parameter["example"], parameter["schema"], document)
    assert seen > 2 * len(ROUTES)


def fits(example: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    jsonschema.validate(example, {**schema, "components": document["components"]})


@pytest.mark.parametrize("name", ROUTES)
def test_the_example_of_a_route_fits_its_models_and_lacks_nothing(name: str) -> None:
    route = ROUTES[name]
    asked = {**route.example.parameters, **(route.example.body or {})}

    route.request.model_validate(asked)
    assert route.in_path <= asked.keys()
    assert (route.example.body is not None) == route.has_body
    if route.answer is not None:
        read: Any = TypeAdapter(route.answer).validate_python(route.example.answer)
        assert read.model_dump(mode="json") == route.example.answer


def test_the_example_workflow_can_be_published() -> None:
    assert check(DOCUMENT, build()).problems == ()


def test_every_use_case_has_a_route() -> None:
    routed = {route.use_case.name for route in ROUTES.values()}

    assert set(use_cases()) - routed == NOT_A_ROUTE.keys()


def test_a_summary_is_the_first_clause_of_a_docstring() -> None:
    assert summary("Do a thing. Then more.\n\nMuch more.") == "Do a thing"
    assert summary("Do a thing; nothing else.") == "Do a thing"
    assert summary("Do a thing: so.") == "Do a thing"


async def test_the_documentation_for_people_is_served(server: HttpServer) -> None:
    answer = await server.stranger.get(f"{API_PREFIX}/docs")

    assert answer.headers["content-type"].startswith("text/html")
    assert f"{API_PREFIX}/openapi.json" in answer.text
