"""`python -I -m budflow.sandbox.worker`: start the nursery, connect to the broker, and serve.

Where the package is not among the interpreter's own, `main` is called by who made it importable.
"""

import os
import signal
import sys

from budflow.sandbox.worker import nursery
from budflow.sandbox.worker.forwarder import PROXY_PORT
from budflow.sandbox.worker.processes import (
    adopt_orphans,
    forbid_new_privileges,
    set_dumpable,
    wipe_from_environment,
)

#: As in `budflow.sandbox.runners`, which cannot be imported here.
SOCKETS_DIRECTORY = "/run/budflow"
SOCKETS_VARIABLE = "BUDFLOW_SOCKETS"
BROKER_SOCKET = "broker.sock"
EGRESS_SOCKET = "egress.sock"
TICKET_VARIABLE = "BUDFLOW_TICKET"
#: `1`: the sandbox is the worker's alone, so that it empties `/tmp` and the like; as PID 1 of a read-only one it knows.
ALONE_VARIABLE = "BUDFLOW_ALONE"
PROXY_PORT_VARIABLE = "BUDFLOW_PROXY_PORT"


def main() -> int:
    """Serve until the broker goes; the status is 0 if that, or draining, was the end."""
    set_dumpable(False)
    forbid_new_privileges()
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # PID 1 is then immune to it.
    sockets = os.environ.get(SOCKETS_VARIABLE, SOCKETS_DIRECTORY)
    egress = os.path.join(sockets, EGRESS_SOCKET)  # noqa: PTH118 -- pathlib is not needed for anything else.
    nursery_pid, nursery_sock = nursery.start(
        alone=_is_alone(),
        egress=egress if os.path.exists(egress) else None,  # noqa: PTH110 -- as above.
        proxy_port=int(os.environ.get(PROXY_PORT_VARIABLE, PROXY_PORT)),
        secret=TICKET_VARIABLE,
    )
    ticket = os.environ.get(TICKET_VARIABLE, "")
    wipe_from_environment(TICKET_VARIABLE)

    from budflow.sandbox.worker.serving import serve  # noqa: PLC0415 -- after the fork: the nursery stays small.

    broker = os.path.join(sockets, BROKER_SOCKET)  # noqa: PTH118 -- as above.
    return serve(broker, nursery_pid, nursery_sock, ticket)


def _is_alone() -> bool:
    if os.environ.get(ALONE_VARIABLE) == "1":
        return True
    return os.getpid() == 1 and bool(os.statvfs("/").f_flag & os.ST_RDONLY)


if __name__ == "__main__":
    sys.exit(main())
