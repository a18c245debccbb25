"""SIGTERM and SIGINT of a process that serves: the first asks it to end, a second one ends it at once."""

import asyncio
import signal

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """The first sets `told`, a second one ends the process at once. To be made on the event loop."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.arm()

    def arm(self) -> None:
        """Listen to them; again where somebody else may have begun to."""
        if not self.told.is_set():
            for number in _NUMBERS:
                asyncio.get_running_loop().add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        self.told.set()
        for number in _NUMBERS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
