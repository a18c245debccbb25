"""The corpus of what code in a sandbox tries: escapes and exhaustion, as data, the same for every way of isolation."""

from tests.security import (
    code_on_files,
    code_on_kernel,
    code_on_network,
    code_on_processes,
    code_on_protocol,
    code_on_resources,
)
from tests.security.attempt import Attempt

ATTEMPTS: tuple[Attempt, ...] = (
    *code_on_files.ATTEMPTS,
    *code_on_kernel.ATTEMPTS,
    *code_on_network.ATTEMPTS,
    *code_on_processes.ATTEMPTS,
    *code_on_protocol.ATTEMPTS,
    *code_on_resources.ATTEMPTS,
)
