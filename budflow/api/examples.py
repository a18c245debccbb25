"""The workflow, the execution and the credential that the examples of several routes show."""

from typing import Any

WORKFLOW_ID = "wf_0192f0c1a2b37c3d8e4f5a6b7c8d9e0f"
EXECUTION_ID = "exe_0192f0c1b3c47d4e9f5a6b7c8d9e0f10"
CREDENTIAL_ID = "crd_0192f0c1d5e67f608b7c8d9e0f102132"

DOCUMENT: dict[str, Any] = {
    "format": 1,
    "name": "Greeting",
    "nodes": {
        "hook": {"type": "trigger.webhook", "type_version": 1, "params": {"path": "greet", "respond": "last_node"}},
        "greet": {
            "type": "data.set",
            "type_version": 1,
            "params": {"values": {"greeting": "Hello, {{ $json.body.name }}!"}, "keep": False},
        },
    },
    "edges": [{"from": "hook", "to": "greet"}],
}

WORKFLOW = {
    "id": WORKFLOW_ID,
    "name": "Greeting",
    "latest_version": 1,
    "published_version": None,
    "created_at": "2026-01-05T09:00:00Z",
    "updated_at": "2026-01-05T09:00:00Z",
}
PUBLISHED = {**WORKFLOW, "published_version": 1}
SAVED = {"workflow": WORKFLOW, "version": 1, "problems": []}
VERSION = {
    "workflow": WORKFLOW,
    "version": 1,
    "document": DOCUMENT,
    "inputs": {},
    "created_at": "2026-01-05T09:00:00Z",
    "created_by": "owner",
}

EXECUTION = {
    "id": EXECUTION_ID,
    "workflow_id": WORKFLOW_ID,
    "version": 1,
    "mode": "api",
    "status": "succeeded",
    "waiting": None,
    "wake_at": None,
    "cancelling": False,
    "created_at": "2026-01-05T09:01:00Z",
    "started_at": "2026-01-05T09:01:00Z",
    "finished_at": "2026-01-05T09:01:00.002000Z",
    "duration_ms": 2.0,
    "parent": None,
    "origin": None,
    "takeovers": 0,
    "traceparent": None,
    "failure": None,
}


def _node(key: str, type_name: str) -> dict[str, Any]:
    return {
        "key": key,
        "type": type_name,
        "container": None,
        "body": None,
        "status": "succeeded",
        "runs": 1,
        "started_at": "2026-01-05T09:01:00Z",
        "finished_at": "2026-01-05T09:01:00.001000Z",
        "duration_ms": 1.0,
        "tries": 1,
        "counts": {"main": 1},
        "progress": None,
        "segment": 0,
        "place": {
            "executor": "inprocess",
            "host": "laptop",
            "pid": 4711,
            "actor": None,
            "ray_node": None,
            "isolation": None,
            "label": None,
            "image": None,
        },
        "failure": None,
        "failed_at": [],
        "children": [],
        "credentials": {},
        "items": None,
    }


EXECUTION_DETAIL = {
    "execution": EXECUTION,
    "nodes": [_node("hook", "trigger.webhook"), _node("greet", "data.set")],
    "waits": [],
    "result": {"total": 1, "items": [{"json": {"greeting": "Hello, Ada!"}}], "truncated": False, "problem": None},
    "responded": None,
    "cancelled_by": None,
    "problem": None,
}

WAIT = {
    "execution_id": EXECUTION_ID,
    "node": "ask",
    "reason": "approval",
    "opened_at": "2026-01-05T09:01:00Z",
    "until": "2026-01-07T09:01:00Z",
    "ask": {"text": "Pay 900 EUR?", "approvers": None},
    "answered": False,
    "resume_url": "https://flows.example/resume/WzEsImRlZmF1bHQiXQ.8Zs1K0fD4xv2mQ7rJ5tYbN3cLpWgHhUe9aBdEiOqTkM",
}

SCHEDULE = {
    "workflow_id": WORKFLOW_ID,
    "node": "every_morning",
    "version": 1,
    "rule": "0 9 * * MON-FRI",
    "timezone": "Europe/Vienna",
    "missed": "run_once",
    "jitter_seconds": 0.0,
    "next": ["2026-01-06T09:00:00+01:00", "2026-01-07T09:00:00+01:00", "2026-01-08T09:00:00+01:00"],
    "settled_until": "2026-01-05T08:00:00Z",
    "last_slot": "2026-01-05T08:00:00Z",
    "last_execution_id": EXECUTION_ID,
    "last_error": None,
}

CREDENTIAL = {
    "id": CREDENTIAL_ID,
    "name": "crm-token",
    "kind": "bearer",
    "revision": 1,
    "hosts": ["crm.example"],
    "grants": {"project": False, "principals": ["owner"], "workflows": []},
    "probe": {"method": "GET", "url": "https://crm.example/me"},
    "fields": ["token"],
    "created_at": "2026-01-05T09:00:00Z",
    "updated_at": "2026-01-05T09:00:00Z",
    "created_by": "owner",
}
BEARER_KIND = {
    "name": "bearer",
    "summary": "A token in the `Authorization` header (RFC 6750).",
    "signs": True,
    "values": {
        "type": "object",
        "properties": {"token": {"type": "string", "minLength": 1, "maxLength": 16384, "x-secret": True}},
        "required": ["token"],
        "additionalProperties": False,
    },
}
