"""The OpenAPI description of the routes, made from their use cases, models and examples."""

from collections.abc import Mapping
from typing import Any

from budflow.api.route import Route
from budflow.services.problem_document import MEDIA_TYPE, ProblemDocument
from budflow.services.use_case import RequestModel

_SECURITY_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "The owner key, which stands in the file owner.key of the data directory. Where only "
        "`server:read` is needed, the key of BUDFLOW_METRICS_KEY, too.",
    }
}
_NOT_FOUND = {
    "type": "urn:budflow:error:workflow.not_found",
    "title": "No workflow has this id.",
    "status": 404,
    "detail": "There is no workflow wf_0192f0c1a2b37c3d8e4f5a6b7c8d9e0f.",
    "code": "workflow.not_found",
    "hint": "List the workflows you may see with `budflow workflow list`.",
    "instance": "/api/v1/workflows/wf_0192f0c1a2b37c3d8e4f5a6b7c8d9e0f",
}
_PROBLEM = {
    "description": "Refused or failed: a problem document (RFC 9457).",
    "content": {
        MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}, "example": _NOT_FOUND}
    },
}


def summary(docstring: str) -> str:
    """The first clause of a use case's docstring."""
    first = docstring.strip().splitlines()[0]
    return min((first.partition(end)[0] for end in (". ", "; ", ": ")), key=len).rstrip(".")


def describe(document: dict[str, Any], routes: Mapping[str, Route[Any, Any]]) -> None:
    """Complete what FastAPI made: it sees neither what one model gathers from path, query, headers and body, nor the
    problem documents, and it would leave out what is null in an example.
    """
    document["components"]["securitySchemes"] = _SECURITY_SCHEMES
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["responses"]["default"] = _PROBLEM
            route = routes.get(operation["operationId"])
            if route is not None:
                operation.update(_asked(route))
                operation["responses"][str(route.status)] = _answered(route)


def _answered(route: Route[Any, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if route.answer is not None:
        schema = {"$ref": f"#/components/schemas/{route.answer.__name__}"}
    media_type = str(route.response_class.media_type)
    return {"description": "Done.", "content": {media_type: {"schema": schema, "example": route.example.answer}}}


def _asked(route: Route[Any, Any]) -> dict[str, Any]:
    schema = _schema(route.request)
    fields: dict[str, Any] = schema["properties"]
    shape: dict[str, Any] = {"x-permission": route.use_case.permission, "security": [{"key": []}]}
    described = [
        _parameter(route, name, "path" if name in route.in_path else "query", fields[name])
        for name in fields
        if name in route.in_path or not route.has_body
    ]
    described += [_header(route, header, fields[name]) for name, header in route.headers.items()]
    if described:
        shape["parameters"] = described
    if route.has_body:
        body = {
            **schema,
            "properties": {name: field for name, field in fields.items() if name not in route.in_path},
            "required": [name for name in schema.get("required", ()) if name not in route.in_path],
        }
        content = {"application/json": {"schema": body, "example": dict(route.example.body or {})}}
        shape["requestBody"] = {"required": bool(body["required"]), "content": content}
    return shape


def _parameter(route: Route[Any, Any], name: str, where: str, field: dict[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in field.items() if key not in ("title", "description")}
    shape = {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": field.get("description", "Its id."),
        "schema": schema,
    }
    if name in route.example.parameters:
        shape["example"] = route.example.parameters[name]
    return shape


def _header(route: Route[Any, Any], header: str, field: dict[str, Any]) -> dict[str, Any]:
    description = f"{field.get('description', '')} Wins over the {'body' if route.has_body else 'query'}."
    return {"name": header, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


def _schema(model: type[RequestModel]) -> dict[str, Any]:
    schema = model.model_json_schema(mode="validation")
    schema = _inlined(schema, schema.pop("$defs", {}))
    return {key: value for key, value in schema.items() if key not in ("title", "description")} | {
        "properties": schema.get("properties", {})
    }


def _inlined(schema: Any, models: Mapping[str, Any]) -> Any:
    """The schema with each model inside it written out where it stands; what is said beside the reference wins."""
    if isinstance(schema, list):
        return [_inlined(entry, models) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    return {key: _inlined(part, models) for key, part in {**models.get(name, {}), **schema}.items() if key != "$ref"}
