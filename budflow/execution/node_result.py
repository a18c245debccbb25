"""What one run of a node needs and what comes of it, up to what that means under the node's `on_error`."""

import asyncio
import hashlib
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

from budflow.errors import BudflowError
from budflow.execution.aside import Aside
from budflow.execution.blobs import BlobUnreadable
from budflow.execution.node_log import NodeLog, unread_log
from budflow.execution.spill import ITEMS_MAX, Gathered, Spill, is_much
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import PlanNode
from budflow.log import get_log
from budflow.model.blobs import NO_BLOBS, BlobsCapability
from budflow.model.credential_kind import OpenCredential, redaction_of
from budflow.model.failure import Failure, NodeError
from budflow.model.files import NO_FILES, FilesCapability
from budflow.model.item import Item, ItemError, ItemList
from budflow.model.node import ERROR_PORT, HttpCapability
from budflow.model.redaction import Redaction
from budflow.model.sandbox import NO_SANDBOX, CodePlace, SandboxCapability
from budflow.model.spilled import Spilled
from budflow.model.static_data import NO_STATIC, StaticData

log = get_log(__name__)

RETRY_WAIT_SECONDS_MAX = 3_600.0

#: Called before a pause: tries so far, failed items, seconds, the first failure.
OnRetry = Callable[[int, int, float, Failure], None]
Sleep = Callable[[float], Awaitable[None]]


class NodeCrashed(NodeError):
    """The node type raised an error that it should have turned into one of its own."""

    code = "node.crashed"
    hint = "This is a fault of the node type, not of the workflow; the server's log has the traceback."


class NodeTimedOut(NodeError):
    """The node did not finish within its `timeout_seconds`."""

    code = "node.timed_out"
    hint = "Raise `timeout_seconds`, which holds for all tries together, or give the node less to do at a time."


class ResultMalformed(NodeError):
    """The node type gave back something that is no item, or named a port or an item that does not exist."""

    code = "node.result_malformed"
    hint = "This is a fault of the node type, not of the workflow."


@dataclass(slots=True)  # Not frozen: one is made for every run of a node, and a frozen one takes four times as long.
class NodeRun:
    """What one run of a node needs. `scope(ordinal)` is what its expressions see for that input item (None: for none).

    `effect_scope`, the node's `path` and the item's ordinal give the idempotency key and all randomness, so a
    repetition has the same. Of an `item` node with an effect, `done` is what the journal has already and `in_doubt`
    fails without another try; `begin(n)` returns once it is durable that the first n items are being worked on, and
    `on_done` is told of each item that succeeded. `open_spill` makes room for outputs that are too many for memory;
    without it they stay there. `credentials` are those that the author gave the node, by slot:
    `redaction` masks their secrets in all that comes back, `reopen` opens them anew before every further try. `log`
    keeps what the node logs. `sandbox` is where a node's code runs, and `name` says there whose it is.
    """

    node: PlanNode
    items: Sequence[Item]
    ports: Mapping[str, range]
    scope: Callable[[int | None], Scope]
    now: datetime
    effect_scope: str
    http: HttpCapability
    on_retry: OnRetry
    path: str = ""
    sleep: Sleep = asyncio.sleep
    done: Mapping[int, list[Item]] = field(default_factory=dict)
    in_doubt: Mapping[int, Failure] = field(default_factory=dict)
    begin: Callable[[int], Awaitable[None]] | None = None
    on_done: Callable[[int, list[Item]], None] | None = None
    files: FilesCapability = NO_FILES
    blobs: BlobsCapability = NO_BLOBS
    open_spill: Callable[[], Spill] | None = None
    open_aside: Callable[[], Aside] | None = None
    traceparent: str | None = None
    static: StaticData = NO_STATIC
    log: NodeLog = field(default_factory=unread_log)
    credentials: Mapping[str, OpenCredential] = field(default_factory=dict, init=False)
    redaction: Redaction | None = field(default=None, init=False)
    reopen: Callable[[], Awaitable[None]] | None = None
    sandbox: SandboxCapability = NO_SANDBOX
    name: str = ""

    def give(self, credentials: Mapping[str, OpenCredential]) -> None:
        """From now on the node has these, by slot, and their secrets are masked in what comes back."""
        self.credentials, self.redaction = credentials, redaction_of(credentials)
        self.log.redaction = self.redaction

    def key(self, ordinal: int) -> str:
        """The idempotency key of one item: equal for every attempt at it."""
        path = self.path or self.node.key
        return hashlib.sha256(f"{self.effect_scope}/{path}/{ordinal}".encode()).hexdigest()[:32]

    def pause_seconds(self, tries: int) -> float:
        """How long to wait after so many tries; with jitter between half and all of it, the same for the same run."""
        retry = self.node.node.retry
        pause = retry.wait_seconds * (2 ** (tries - 1) if retry.backoff == "exponential" else 1)
        pause = min(pause, RETRY_WAIT_SECONDS_MAX)
        spread = 0.5 + Random(self.key(-tries)).random() / 2  # noqa: S311 - spreads load only
        return pause * spread if retry.jitter else pause


@dataclass(slots=True)
class NodeResult:
    """What came of it: items by port, and the failed items by ordinal.

    `stored` are the ports that were too much for memory, `spill` where they go while the node runs. `fatal` is what
    made the run fail as a whole, whatever the node's `on_error` says. `raised`: the one call that was to give all of it
    failed, and nothing that it did stays. `code_place` is where an author's code ran.
    """

    ports: Gathered = field(default_factory=dict)
    failed: dict[int, Failure] = field(default_factory=dict)
    tries: int = 1
    stored: dict[str, ItemList] = field(default_factory=dict)
    spill: Spill | None = None
    fatal: Failure | None = None
    raised: bool = False
    code_place: CodePlace | None = None


def failure_of(node: PlanNode, error: BaseException, path: str = "", redaction: Redaction | None = None) -> Failure:
    """What was raised on behalf of a node, as data: its own errors as they are, anything else as NodeCrashed.

    `path` is that of the node's run, where it stands in loops. `redaction` masks the secrets that the node was given,
    in the log too.
    """
    if not isinstance(error, BudflowError):
        text = str(error)
        if redaction is None:
            log.error("node.crashed", node=node.key, type=node.spec.name, exc_info=error)
        else:
            # As text: the log cannot mask what it is handed as an error.
            told = redaction.text("".join(traceback.format_exception(error)))
            log.error("node.crashed", node=node.key, type=node.spec.name, exception=told)
            text = redaction.text(text)  # Before it is cut: the beginning of a secret would not be known for one.
        error = NodeCrashed(f"{type(error).__name__}: {text[:500]}")
    failure = Failure.of(error, path or node.key)
    if redaction is not None:
        failure = masked_failure(failure, redaction)
    if failure.message.isascii():
        return failure
    # Half of a surrogate pair, quoted from an item, could not be journaled.
    return replace(failure, message=failure.message.encode("utf-8", "replace").decode())


def masked_failure(failure: Failure, redaction: Redaction) -> Failure:
    """The failure without the secrets of the credentials that its node was given."""
    return replace(failure, message=redaction.text(failure.message), hint=redaction.text(failure.hint))


def all_failed(items: Sequence[Item], failure: Failure) -> NodeResult:
    """The result of a run in which every item failed of the same cause; without items the run itself did.

    Of items that are too many for memory none can be passed on with its error: the run fails as a whole.
    """
    if isinstance(items, Spilled):
        return NodeResult(fatal=failure)
    return NodeResult(failed=dict.fromkeys(range(max(len(items), 1)), failure))


def settle(node: PlanNode, items: Sequence[Item], result: NodeResult, path: str = "") -> dict[str, ItemList] | Failure:
    """The node's outputs with every port named, or the failure that stops the execution, as `on_error` has it."""
    if result.fatal is not None:
        return result.fatal
    if result.failed:
        first = result.failed[min(result.failed)]
        if node.node.on_error == "stop":
            return first
        try:
            pass_failed_on(node, items, result)
        except BlobUnreadable as error:
            return failure_of(node, error, path)
    return {name: _port(result, name) for name in node.output_names}


def pass_failed_on(node: PlanNode, items: Sequence[Item], result: NodeResult) -> None:
    """Put the failed items where `on_error` sends them: that is not `stop`."""
    port = failed_port(node)
    kept, lineage = result.ports.get(port, ([], []))
    for ordinal, failure in sorted(result.failed.items()):
        json = items[ordinal].json if ordinal < len(items) else {}
        binary = items[ordinal].binary if ordinal < len(items) else {}
        kept.append(Item(json, binary, error_of(failure)))
        lineage.append(ordinal if ordinal < len(items) else -1)
    if all(source >= 0 for source in lineage):
        # Items that failed pass on where they stood, not behind the others.
        by_source = sorted(range(len(kept)), key=lineage.__getitem__)
        kept, lineage = [kept[i] for i in by_source], [lineage[i] for i in by_source]
    result.ports[port] = (kept, lineage)
    result.failed = {}


def check_items(node: PlanNode, items: Sequence[Item]) -> None:
    """Raise ResultMalformed for what a node gave that is no item."""
    if not all(isinstance(item.json, dict) for item in items):
        raise ResultMalformed(f"`{node.spec.name}` gave back something that is no item.")


def failed_port(node: PlanNode) -> str:
    """Where failed items leave, unless they stop the execution."""
    return ERROR_PORT if node.node.on_error == "error_output" else node.output_names[0]


def error_of(failure: Failure) -> ItemError:
    """What is set on an item that passes on though it failed."""
    return ItemError(failure.code, failure.message, failure.hint, failure.node or "")


def holds_much(run: NodeRun, result: NodeResult) -> bool:
    """Whether what gathered so far is to leave the memory."""
    if run.open_spill is None or result.fatal is not None:
        return False
    return result.spill is not None or is_much(result.ports) or len(result.failed) >= ITEMS_MAX


async def relieve(run: NodeRun, result: NodeResult) -> None:
    """Move what gathered so far out of memory, in the middle of a run. Raises BlobUnwritable and EventUnwritable."""
    if result.failed:
        if run.node.node.on_error == "stop":
            return  # The run has failed: what it gave is of no use.
        pass_failed_on(run.node, run.items, result)
    if result.spill is None and run.open_spill is not None:
        result.spill = run.open_spill()
    if result.spill is not None:
        await result.spill.take(result.ports)


async def store(run: NodeRun, result: NodeResult) -> None:
    """The same at the end of a run: `stored` has then what was moved, durable."""
    await relieve(run, result)
    if result.spill is not None and not result.failed:
        result.stored = await result.spill.finish(result.ports)


def _port(result: NodeResult, name: str) -> ItemList:
    if name in result.stored:
        return result.stored[name]
    return ItemList(*result.ports[name]) if name in result.ports else ItemList()
