"""The credentials of a node's run: opened before anything is sent, and journaled before they can be sent anywhere."""

from collections.abc import Callable, Mapping
from datetime import datetime

from budflow.execution.node_result import NodeRun
from budflow.execution.open_node import OpenNode
from budflow.execution.ports import Link
from budflow.model import event as e
from budflow.model.credential_kind import OpenCredential


class NodeCredentials:
    """What one run of a node has in its slots. What the door of a trigger uses is not the node's."""

    def __init__(self, opened: OpenNode, run: NodeRun, link: Link, now: Callable[[], datetime]) -> None:
        self._opened, self._run, self._link, self._now = opened, run, link, now
        self._used: Mapping[str, str] = {}

    async def open(self) -> None:
        """Give the run what the slots have now; the event that says so is still to be committed.

        Raises what Link.open_credential does.
        """
        node, given, used = self._opened.node, dict[str, OpenCredential](), dict[str, str]()
        for slot in node.node.credentials:
            declared = node.spec.credentials.get(slot)
            if declared is None or not declared.at_door:
                credential = given[slot] = await self._link.open_credential(node.key, slot)
                used[slot] = credential.id
        if used != self._used:
            self._link.append(e.CredentialsUsed(self._now(), node.key, used, self._opened.at.rounds))
        self._used = used
        self._run.give(given)
        self._opened.redaction = self._run.redaction

    async def reopen(self) -> None:
        """The same before a further try: they may have been taken away, or be others by now."""
        before = self._used
        await self.open()
        if self._used != before:
            await self._link.commit()
