"""Whatever the process of a task sends, the broker gets messages of the protocol, and nothing after the task's end."""

import json
from contextlib import closing
from typing import Any

from hypothesis import given, strategies as st

from budflow.sandbox.messages import FRAME_BYTES_MAX, FROM_WORKER
from budflow.sandbox.worker import packets
from budflow.sandbox.worker.task_run import TaskRun

TASK = {"task_id": "t", "timeout_seconds": 5.0, "item_count": 3, "mode": "each", "items": []}
KINDS = [
    getattr(packets, name) for name in ("RESULT", "LAST", "FAILED", "TROUBLE", "LOG", "PROGRESS", "NEED", "DROPPED")
]

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\ud800")
_any = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_index = st.integers(-2, 4) | _any
_item = st.fixed_dictionaries({"json": st.dictionaries(st.text(), _any, max_size=3) | _any, "source": _index})
_trouble = st.fixed_dictionaries(
    {"code": st.sampled_from(["code.failed", "code.invalid", "sandbox.worker_lost"]) | _any, "message": _any},
    optional={"line": _index, "item": _index, "traceback": st.lists(_any) | _any, "more": _any},
)
_line = st.fixed_dictionaries(
    {"level": st.sampled_from(["info", "debug"]) | _any, "message": _any},
    optional={"fields": _any, "item": _index, "task_id": _any},
)
_progress = st.fixed_dictionaries({}, optional={"fraction": _any, "message": _any})
_need = st.fixed_dictionaries({"start": _index, "stop": _index})
_body = st.lists(_item, max_size=3) | st.lists(_trouble, max_size=3) | _trouble | _line | _progress | _need | _any
_packet = st.tuples(
    st.sampled_from([*KINDS, packets.FRAGMENT]) | st.binary(min_size=1, max_size=1),
    _body.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40),
)


@given(st.lists(_packet, max_size=8), st.sampled_from(["all", "each", "function"]))
def test_what_is_passed_on_is_of_the_protocol(sent: list[tuple[bytes, bytes]], mode: str) -> None:
    told: list[bytes] = []
    ours, its = packets.pair()
    with closing(ours), closing(its):
        run = TaskRun({**TASK, "mode": mode}, b"{}", ours, told.append)
        its.recv(packets.PACKET_BYTES)
        for kind, body in sent:
            its.send(kind + body)
        run.read()
        run.ended = 0
        run.conclude(None)

    messages = [read(message) for message in told]
    ends = [message.type == "error" or (message.type == "result" and message.last) for message in messages]
    assert run.done
    assert ends == [*[False] * (len(ends) - 1), True]


def read(message: bytes) -> Any:
    """As the broker does, of this task and no other."""
    assert len(message) <= FRAME_BYTES_MAX
    told = FROM_WORKER.validate_json(message)
    assert told.task_id == "t"
    return told
