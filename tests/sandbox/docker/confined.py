"""Code in a container that is confined like a worker's, without a worker, and what came of it."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.hardening import Container, container_config
from budflow.sandbox.docker.python_tree import PYTHON
from budflow.sandbox.runners import Limits

OWNER = "tests"
LIMITS = Limits()
CODE_VARIABLE = "CODE_FOR_TESTS"


@dataclass(frozen=True)
class Came:
    """What the code printed, and how its container ended."""

    out: str
    err: str
    state: Mapping[str, Any]

    @property
    def words(self) -> list[str]:
        return self.out.split()


@dataclass(frozen=True)
class Confined:
    """Calling it runs code to its end."""

    engine: Engine
    image: str
    sockets: Path

    def __call__(self, code: str, *, internet: bool = False, memory_mb: int = 128, limits: Limits = LIMITS) -> Came:
        container = Container(
            owner=OWNER,
            role="worker",
            image=self.image,
            memory_mb=memory_mb,
            sockets=self.sockets,
            limits=limits,
            internet=internet,
            command=(PYTHON, "-I", "-c", textwrap.dedent(code)),
        )
        container_id = self.engine.create(container_config(container))
        try:
            output = self.engine.attach(container_id)
            self.engine.start(container_id)
            out, err = bytearray(), bytearray()
            for printed, told in output:
                out += printed
                err += told
            self.engine.wait(container_id)
            state = self.engine.state(container_id)
            assert state is not None
            return Came(out.decode(), err.decode(), state)
        finally:
            self.engine.remove(container_id)
