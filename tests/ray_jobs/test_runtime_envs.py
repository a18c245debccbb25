"""Segments in runtime environments that the operator trusts, on a real local Ray."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from ray.exceptions import RuntimeEnvSetupError

from budflow.model.failure import Failure
from ray_jobs.executor import RayExecutor
from ray_jobs.runtime_envs import REASON_CHARS_MAX, build_failure
from tests.execution.office import Flow, Office
from tests.until import until


@pytest.fixture
async def office(ray_executor: RayExecutor) -> AsyncIterator[Office]:
    office = Office(ray_executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        yield office
    await office.supervisor.stop(0.1)


async def failure_of(office: Office, node_type: str) -> Failure:
    active = await office.run(Flow({"it": {"type": node_type}}, ["start > it"]))
    assert active.finished is not None
    assert active.finished.failure is not None
    return active.finished.failure


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_a_type_has_the_variables_of_its_environment_and_others_do_not(office: Office) -> None:
    active = await office.run(Flow({"greet": {"type": "test.greeting"}}, ["start > greet"]))

    assert active.finished is not None
    assert (active.finished.status, active.finished.failure) == ("succeeded", None)
    assert active.result().to_json() == [{"greeting": "hello", "package": False}]
    told = await office.logged(active.execution.id)
    assert [message for _, _, message, _, _ in told][:1] in ([], ["Preparing the runtime environment `greeting`…"])


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_an_environment_that_cannot_be_built_fails_the_node_with_the_reason(office: Office) -> None:
    failure = await failure_of(office, "test.broken")

    assert failure.code == "ray.runtime_env_failed"
    assert "`broken` could not be built: " in failure.message
    assert "imeout" in failure.message
    assert len(failure.message) < REASON_CHARS_MAX + 100
    assert failure.hint
    assert "ray_runtime_envs" in failure.hint


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_an_environment_that_nobody_trusts_fails_the_node_at_once(office: Office) -> None:
    failure = await failure_of(office, "test.untrusted")

    assert failure.code == "ray.runtime_env_untrusted"
    assert "`test.untrusted` needs the runtime environment `nowhere`" in failure.message


def test_of_what_ray_says_the_end_is_kept_where_the_reason_stands() -> None:
    installer = "Last 50 lines of stdout:\n    Looking\n    ERROR: No matching distribution found for x==1"
    said = RuntimeEnvSetupError("Traceback\n" + "  File x\n" * 1000 + installer)

    message = build_failure("ml", said).message

    assert message.endswith("could not be built: Looking ERROR: No matching distribution found for x==1")
    long = build_failure("ml", RuntimeEnvSetupError("trace " * 1000 + "the reason")).message
    assert long.endswith("the reason")
    assert len(long) < REASON_CHARS_MAX + 100
    assert "Ray does not say why." in build_failure("ml", RuntimeEnvSetupError()).message
