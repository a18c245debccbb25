"""The webhook door: an ASGI application that turns a request into an execution and the execution into the answer.

It is the hot path of the server, so it stands before the API's framework and speaks ASGI itself.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress

from budflow.asgi.body import BodyMalformed
from budflow.asgi.exchange import (
    Answer,
    BodySlow,
    BodyTooLarge,
    ClientGone,
    Receive,
    Scope,
    Send,
    read_body,
    refusal,
    send_answer,
)
from budflow.asgi.strangers import for_strangers
from budflow.errors import BudflowError
from budflow.execution.limits import ConcurrencyKeyFailed
from budflow.execution.ports import CredentialUser
from budflow.graph.plan import NodeTypeMissing, Plan
from budflow.log import get_log
from budflow.model.execution import Execution, KeyReused, LimitReached, QueueFull
from budflow.model.failure import Failure
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from budflow.model.path import parse_path
from budflow.model.principal import Principal
from budflow.model.workflow import WebhookRoute
from budflow.nodes.trigger.webhook import SIGNATURE, WebhookParams
from budflow.services.idempotency_key import FirstNotKept
from budflow.services.trigger_workflow import Triggered, TriggerEvent, trigger_workflow
from budflow.services.use_case import Services
from budflow.triggers.webhook import WebhookRequest, to_item
from budflow.triggers.webhook_answer import EXECUTION_HEADER, AnswerTimedOut, accepted, answer_of
from budflow.triggers.webhook_key import KeyMalformed, request_key
from budflow.triggers.webhook_outcome import Outcome, outcome_of
from budflow.triggers.webhook_signature import (
    SecretMissing,
    SignatureRefused,
    check_signature,
    check_signed,
    open_signature,
)
from budflow.triggers.webhook_table import MethodRefused, WebhookTable, WebhookUnknown

PREFIX = "/webhook/"
#: The node type by which an author fails a workflow in words of their own.
FAILING_TYPE = "flow.stop_and_error"
PERMISSIONS = frozenset({"execution:run"})
#: How long a sender waits for the store to say whether it has an execution, or to keep it, so that it can be named.
LOOK_SECONDS_MAX = 5.0

log = get_log(__name__)


#: The errors that are written for strangers; of all others they are told no more than that something went wrong.
_PUBLIC = (
    WebhookUnknown,
    MethodRefused,
    BodyTooLarge,
    BodySlow,
    BodyMalformed,
    SignatureRefused,
    SecretMissing,
    QueueFull,
    KeyMalformed,
    KeyReused,
    FirstNotKept,
    LimitReached,
)


class WebhookDoor:
    """An ASGI application for every path below `/webhook/`. A client that hangs up cancels nothing."""

    def __init__(self, services: Services, table: WebhookTable, environment: Mapping[str, str] = os.environ) -> None:
        self._services, self._table, self._environment = services, table, environment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        try:
            answer = await self._serve(scope, receive)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge: a stranger gets a problem document, the log the rest
            answer = refusal(_for_strangers(error), scope["path"])
        self._services.figures.note_webhook(answer.status, time.perf_counter() - began)
        await send_answer(answer, send)

    async def _serve(self, scope: Scope, receive: Receive) -> Answer:
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw_path.decode("latin-1").removeprefix(PREFIX)
        match = self._table.match(scope["method"], path)
        plan, params, credential = await self._armed(match.route)
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        body = await read_body(headers, receive, self._services.settings.webhook_body_bytes_max)
        request = WebhookRequest(scope["method"], path, scope["query_string"], headers, body)
        used: dict[str, str] = {}
        if credential is not None:
            user = CredentialUser(match.route.project_id, match.route.workflow_id, plan.author)
            opened = await open_signature(self._services.credentials, user, credential)
            check_signed(opened, request, utc_now())
            used[SIGNATURE] = opened.id
        elif params.signature is not None:
            signed = request.header(params.signature.header)
            check_signature(params.signature, signed, body, self._environment)
        item = to_item(request, match.params)
        principal = Principal(f"webhook:{match.route.path}", match.route.project_id, PERMISSIONS, "webhook")
        event = TriggerEvent(
            workflow_id=match.route.workflow_id,
            items=ItemList.of([item]),
            mode="webhook",
            version=match.route.version,
            trigger=match.route.node,
            durable=params.respond == "immediately",
            key=request_key(request),
            traceparent=request.header("traceparent"),
            credentials=used,
        )
        triggered = await trigger_workflow(self._services, principal, event)
        answer = await self._answer(principal, triggered, plan, params, scope["path"])
        return Answer(answer.status, (*answer.headers, (EXECUTION_HEADER, triggered.execution.id)), answer.body)

    async def _armed(self, route: WebhookRoute) -> tuple[Plan, WebhookParams, str | None]:
        """The plan, the trigger's parameters and the credential that requests must be signed with, if any."""
        _, plan = await self._services.plans.get(route.project_id, route.workflow_id, route.version)
        trigger = plan.trigger(route.node)
        params = trigger.params.fixed
        if not isinstance(params, WebhookParams):
            raise WebhookUnknown
        return plan, params, trigger.node.credentials.get(SIGNATURE)

    async def _answer(
        self, principal: Principal, triggered: Triggered, plan: Plan, params: WebhookParams, instance: str
    ) -> Answer:
        execution_id = triggered.execution.id
        if params.respond == "immediately":
            return accepted(execution_id)
        try:
            outcome = await self._outcome(principal, triggered, first_answer=params.respond == "respond_node")
            if outcome is None:
                return refusal(AnswerTimedOut(execution_id=execution_id), instance)
            authored = _is_authored(plan, outcome.failure)
            return answer_of(outcome, params, execution_id, instance, authored=authored)
        except Exception as error:  # The edge, inside so that the answer names the execution.
            if not await self._may_be_stored(triggered.execution):
                raise  # Answered further out, without a name that leads nowhere.
            return refusal(_for_strangers(error), instance)

    async def _outcome(self, principal: Principal, triggered: Triggered, *, first_answer: bool) -> Outcome | None:
        """None where it takes too long; since the answer names it, it is stored by then even if it only computes."""
        try:
            async with asyncio.timeout(self._services.settings.webhook_answer_seconds):
                return await outcome_of(self._services, principal, triggered, first_answer=first_answer)
        except TimeoutError:
            with suppress(TimeoutError):  # A store that does not answer may have it all the same.
                async with asyncio.timeout(LOOK_SECONDS_MAX):
                    await self._services.supervisor.store(triggered.execution.id)
            return None

    async def _may_be_stored(self, execution: Execution) -> bool:
        """False where its first commit failed and the store has nothing of it; True also where nobody can tell."""
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                return await self._services.store.get_execution(execution.project_id, execution.id) is not None
        except (BudflowError, TimeoutError):
            return True


def _is_authored(plan: Plan, failure: Failure | None) -> bool:
    """Whether the workflow's author worded the failure, for whoever called."""
    if failure is None or failure.node is None:
        return False
    try:
        key, _ = parse_path(failure.node)
    except ValueError:
        return False
    number = plan.index.get(key)
    return number is not None and plan.nodes[number].spec.name == FAILING_TYPE


def _for_strangers(error: Exception) -> BudflowError:
    if isinstance(error, ConcurrencyKeyFailed):
        return ConcurrencyKeyFailed()  # Without the expression.
    if isinstance(error, NodeTypeMissing):
        log.error("webhook.node_type_missing", error=str(error))
        return NodeTypeMissing()  # Without its name.
    return for_strangers(error, _PUBLIC, log, "webhook.failed")
