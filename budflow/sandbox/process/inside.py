"""The first thing that runs inside, as PID 1: take on the limits that are left to the process, then be the worker.

It is run as a file of its own, where only the standard library is; its argument is a JSON object of limits by name.
"""

import importlib.util
import json
import os
import resource
import runpy
import sys

_WORKER = "budflow.sandbox.worker"


def main() -> None:
    """Never returns before the worker ends."""
    for name, value in json.loads(sys.argv.pop()).items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound))
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # Whatever the server's own libraries may have left open.
    sys.path.append(os.path.dirname(__file__))  # noqa: PTH120 pathlib would take 3 ms, and is needed for nothing else
    _import_when_used("importlib.metadata")  # 12 ms; websockets asks for it, and for nothing of it.
    runpy.run_module(_WORKER, run_name="__main__", alter_sys=True)


def _import_when_used(name: str) -> None:
    """See importlib.util.LazyLoader."""
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.loader is not None:
        spec.loader = loader = importlib.util.LazyLoader(spec.loader)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        parent, _, own = name.rpartition(".")
        setattr(sys.modules[parent], own, module)


if __name__ == "__main__":
    main()
