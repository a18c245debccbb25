"""Whether the workflow that `settings.error_workflow` names could run, told when a workflow is published."""

from http import HTTPStatus

from budflow.errors import BudflowError
from budflow.execution.children import ERROR_TRIGGER
from budflow.graph.plan import TriggerMissing
from budflow.model.principal import Principal
from budflow.model.problem import Problem, WorkflowInvalid
from budflow.model.workflow import NotPublished, Workflow, WorkflowNotFound
from budflow.services.use_case import Services
from budflow.services.views import ProblemView

_PATH = "/settings/error_workflow"


async def check_error_workflow(
    services: Services, principal: Principal, workflow_id: str, workflow: Workflow
) -> list[ProblemView]:
    """What may be mended later, and forbids nothing: it is not published yet, or cannot run here.

    Raises WorkflowInvalid where there is no such workflow, or one that no failure can start.
    """
    wanted = workflow.settings.error_workflow
    if wanted is None:
        return []
    try:
        if wanted == workflow_id:
            _require_own_trigger(workflow)
        else:
            _, plan = await services.plans.get_to_run(principal.project_id, wanted)
            plan.trigger(None, ERROR_TRIGGER)
    except WorkflowNotFound as error:
        advice = "Write the id of a workflow that has a `trigger.error`; find it with `list_workflows`."
        message = f"There is no workflow `{wanted}` to run when this one fails."
        problem = Problem("settings.error_workflow_unknown", _PATH, message, advice, "publish")
        raise WorkflowInvalid(problems=(problem,)) from error
    except TriggerMissing as error:
        advice = f"Give `{wanted}` a `trigger.error`, or name a workflow that has one."
        message = f"`{wanted}` has no `trigger.error`, so no failure can start it."
        problem = Problem("settings.error_workflow_unusable", _PATH, message, advice, "publish")
        raise WorkflowInvalid(problems=(problem,)) from error
    except NotPublished as error:
        return [_warning(error.message, f"Publish `{wanted}`: until then nobody hears of a failure.")]
    except BudflowError as error:
        if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise  # That may pass, and says nothing of the workflow.
        return [_warning(f"`{wanted}` cannot run: {error.message}", error.hint)]
    return []


def _require_own_trigger(workflow: Workflow) -> None:
    nodes = workflow.graph.nodes.values()
    if not any(node.type == ERROR_TRIGGER and not node.disabled for node in nodes):
        raise TriggerMissing(f"The workflow names itself and has no `{ERROR_TRIGGER}`.")


def _warning(message: str, advice: str) -> ProblemView:
    return ProblemView(
        code="settings.error_workflow_unusable", path=_PATH, message=message, hint=advice, blocks="nothing"
    )
