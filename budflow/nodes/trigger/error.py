"""trigger.error: where an execution enters that another workflow's failure starts."""

from budflow.model.node import Batch, Example, Outputs, Params, node

_FAILED = {
    "execution": {
        "id": "exe_7",
        "workflow_id": "wf_orders",
        "workflow_name": "Order intake",
        "version": 3,
        "mode": "webhook",
        "url": "https://flows.example/executions/exe_7",
    },
    "failure": {
        "code": "http.status",
        "message": "The server answered 500.",
        "hint": "Try again later.",
        "node": "fetch",
    },
}


class ErrorTriggerParams(Params):
    """No parameters: a workflow names the one that hears of its failures in its own settings."""


@node(
    "trigger.error",
    kind="batch",
    params=ErrorTriggerParams,
    trigger=True,
    examples=[
        Example(
            title="Hear of a failed execution",
            params={},
            given=[_FAILED],
            expect={"main": [_FAILED]},
        )
    ],
)
def receive_error(batch: Batch[ErrorTriggerParams]) -> Outputs:
    """Start an execution whenever one fails of a workflow that names this workflow as `settings.error_workflow`.

    Use it to tell people, to open a ticket or to tidy up, once for many workflows. One item leaves by `main`:
    `execution` with `id`, `workflow_id`, `workflow_name`, `version`, `mode` and, where the server knows its own
    address, `url`; and `failure` with `code`, `message`, `hint` and `node` (the path of the node that failed, null
    where it was none). So `{{ $json.execution.workflow_name }}: {{ $json.failure.message }}` makes a subject. Publish
    this workflow: its published version runs. A cancelled execution is no failure, and the failure of an execution
    that this trigger started starts nothing.
    """
    outputs = Outputs()
    for index in range(len(batch.items)):
        outputs.pass_on("main", index)
    return outputs
