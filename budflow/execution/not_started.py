"""What stands for the run of an execution that the executor could not even begin."""

from budflow.model import event as e


class NotStarted:
    """Meets Running: what was raised instead of a run."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def deliver(self, event: e.Event) -> None:
        """See Running."""

    async def wait(self) -> None:
        """See Running."""
        raise self._fault

    def let_go(self) -> None:
        """See Running."""
