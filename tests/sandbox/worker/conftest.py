"""Workers as real processes on this machine, outside of any sandbox: what they run here is what the tests say."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.sandbox.worker.broker import Broker, started


@pytest.fixture(scope="session")
def warm() -> Iterator[Broker]:
    """One worker for all tests, each of which leaves it able to take the next task."""
    with TemporaryDirectory() as directory, started(Path(directory)) as broker:
        yield broker


@pytest.fixture
def start_worker(tmp_path: Path) -> Callable[..., AbstractContextManager[Broker]]:
    """A worker of the test's own."""

    def start(**environment: str) -> AbstractContextManager[Broker]:
        return started(tmp_path, environment)

    return start
