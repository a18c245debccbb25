"""What a heavy node asks of the labels of a Ray node: the conditions that Ray's label selectors know."""

import re
from dataclasses import dataclass

#: Ray's labels follow those of Kubernetes: a name, before it perhaps a domain and a slash.
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:(?P<domain>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)/)?{_NAME}")
_CONDITION = re.compile(rf"(?P<no>!)?(?:(?P<one>{_NAME})|in\((?P<many>{_NAME}(?:, ?{_NAME})*)\))")
_DOMAIN_CHARS_MAX = 253
#: Every node's own id. It is another after each start, and Ray 2.60 ends a process that asks for one that no node has.
NODE_ID = "ray.io/node-id"


def is_label(name: str) -> bool:
    """Whether a Ray node can have a label of this name."""
    found = _KEY.fullmatch(name)
    return found is not None and len(found["domain"] or "") <= _DOMAIN_CHARS_MAX


@dataclass(frozen=True, slots=True)
class LabelCondition:
    """One of the `values`, or, `negated`, none of them; a node without the label has none."""

    values: frozenset[str]
    negated: bool = False

    @staticmethod
    def parse(text: str) -> "LabelCondition | None":
        """From `gpu`, `!gpu`, `in(a, b)` or `!in(a, b)`; None for anything else."""
        found = _CONDITION.fullmatch(text)
        if found is None:
            return None
        values = [found["one"]] if found["one"] else found["many"].replace(" ", "").split(",")
        return LabelCondition(frozenset(values), found["no"] is not None)

    def met_by(self, value: str | None) -> bool:
        """Whether a node meets it that has the label with this value, or does not have it."""
        return (value in self.values) != self.negated
