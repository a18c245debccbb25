"""The Ray task that has the sandboxd of its node prepare an image. It runs nothing of an author: sandboxd builds it."""

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import ray

from ray_jobs.sandbox_node import prepare_image


@ray.remote(max_retries=0, num_cpus=0)
def prepare_sandbox_image_task(ticket: str, requirements: tuple[str, ...]) -> Generator[tuple[str, str], None, None]:
    """What it does, as `("", text)`, and at last the image, as `(digest, "")`; no digest where there are no images.

    `ticket` is for the project alone. Raises RequirementsFailed, SandboxUnavailable, SandboxTicketRefused.
    """
    said: SimpleQueue[str | None] = SimpleQueue()
    with ThreadPoolExecutor(1) as thread:
        preparing = thread.submit(asyncio.run, prepare_image(ticket, requirements, said.put))
        preparing.add_done_callback(lambda _: said.put(None))
        while (text := said.get()) is not None:
            yield "", text
        yield preparing.result(), ""
