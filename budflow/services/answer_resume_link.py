"""answer_resume_link: take the answer of somebody without an account, who has the link."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.answer_wait import take_answer
from budflow.services.read_resume_link import wait_of_link
from budflow.services.use_case import RequestModel, Services, View, use_case


class AnswerResumeLink(RequestModel):
    """The token of a link, and the answer."""

    token: str
    node: str | None = Field(None, description="The path of the node that waits, where there are several.")
    answer: Any = None
    texts: bool = Field(False, description="The answer's values came as texts, from a page's form.")


class ResumedView(View):
    """What was answered."""

    execution_id: str
    node: str
    answered: bool = True


@use_case("execution:run")
async def answer_resume_link(services: Services, principal: Principal, request: AnswerResumeLink) -> ResumedView:
    """Answer what a resume link asks for; the execution goes on. Only the first answer counts."""
    link = services.links.read(request.token)
    wait = await wait_of_link(services, link, request.node)
    answer = request.answer
    if request.texts and isinstance(answer, Mapping):
        fields = [{"name": "approved", "type": "boolean"}] if wait.reason == "approval" else wait.ask.get("fields")
        answer = {**answer, **_typed(answer, fields or ())}
    await take_answer(services, principal, wait, answer)
    return ResumedView(execution_id=wait.execution_id, node=wait.node)


def _typed(answer: Mapping[str, Any], fields: Any) -> dict[str, Any]:
    """The values of a page's form in the types of its fields; what does not fit stays, to be refused as it is."""
    typed: dict[str, Any] = {}
    for field in fields:
        name, kind = field["name"], field["type"]
        text = answer.get(name)
        if text == "" and kind != "string":
            typed[name] = None
        elif isinstance(text, str) and kind in ("integer", "number"):
            with suppress(ValueError):
                number = int(text) if kind == "integer" or text.lstrip("-").isdigit() else float(text)
                typed[name] = number if math.isfinite(number) else text
        elif isinstance(text, str) and kind == "boolean" and text in ("true", "false"):
            typed[name] = text == "true"
    return typed
