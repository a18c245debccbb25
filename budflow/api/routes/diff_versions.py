"""GET /workflows/{workflow_id}/diff: what changed from one version to another."""

from budflow.api.examples import WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.diff_versions import DifferenceView, DiffVersions, diff_versions

_GREET = {
    "key": "greet",
    "type": "data.set",
    "kind": "changed",
    "path": "/nodes/greet",
    "changes": [{"path": "/params/values/greeting", "before": "Hello!", "after": "Hello, {{ $json.body.name }}!"}],
    "moved_from": None,
}

ROUTE = Route(
    "GET",
    "/workflows/{workflow_id}/diff",
    diff_versions,
    DiffVersions,
    DifferenceView,
    Example(
        answer={
            "before": 1,
            "after": 2,
            "equal": False,
            "document": [],
            "settings": [{"path": "/settings/priority", "before": 0, "after": 10}],
            "nodes": [_GREET],
            "edges": [{"kind": "added", "source": "hook", "target": "greet", "path": ""}],
        },
        parameters={"workflow_id": WORKFLOW_ID, "before": 1, "after": 2},
    ),
)
