"""The node types there are: found by walking this package and the entry points `budflow.nodes`, then read-only.

An extension is a distribution with an entry point in the group `budflow.nodes` that names either one declared node
type or a module that holds some.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Any

import budflow.nodes
from budflow.errors import BudflowError
from budflow.model.node import NodeSpec
from budflow.nodes.parameter_schema import parameter_schema

ENTRY_POINT_GROUP = "budflow.nodes"

#: What people and agents call things that the library names otherwise; each side is a single word.
SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "abort": ("stop",),
        "answer": ("respond",),
        "api": ("http", "request"),
        "approval": ("wait",),
        "approve": ("wait",),
        "assign": ("set",),
        "branch": ("if", "switch"),
        "call": ("http", "sub"),
        "catch": ("try",),
        "child": ("sub",),
        "combine": ("merge",),
        "concurrent": ("parallel",),
        "condition": ("if", "filter", "switch"),
        "count": ("aggregate",),
        "cron": ("schedule",),
        "daily": ("schedule",),
        "delay": ("wait",),
        "edit": ("set",),
        "every": ("schedule",),
        "exception": ("catch", "error"),
        "explode": ("split",),
        "fail": ("stop", "error"),
        "fallback": ("catch",),
        "fetch": ("http", "request"),
        "group": ("aggregate",),
        "hook": ("webhook",),
        "hourly": ("schedule",),
        "interval": ("schedule",),
        "iterate": ("each",),
        "join": ("merge",),
        "loop": ("each", "while"),
        "map": ("set",),
        "order": ("sort",),
        "pause": ("wait",),
        "periodic": ("schedule",),
        "race": ("parallel",),
        "raise": ("stop", "error"),
        "recurring": ("schedule",),
        "repeat": ("while", "each"),
        "reply": ("respond",),
        "response": ("respond",),
        "route": ("switch",),
        "simultaneous": ("parallel",),
        "sleep": ("wait",),
        "start": ("trigger", "manual"),
        "subworkflow": ("sub", "workflow"),
        "sum": ("aggregate",),
        "throttle": ("rate",),
        "throw": ("stop", "error"),
        "timer": ("wait",),
        "transform": ("set",),
        "union": ("merge",),
        "until": ("while", "wait"),
        "unwind": ("split",),
        "url": ("http", "request"),
        "where": ("filter",),
    }
)

#: Words of a query that say nothing about what is looked for.
STOP_WORDS = frozenset(
    {
        "a",
        "an",
        "and",
        "by",
        "for",
        "from",
        "i",
        "in",
        "into",
        "it",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "with",
    }
)

# What a word of the query is worth by where it stands; a word that only begins like it counts half.
TYPE_WEIGHT, SYNONYM_WEIGHT, SUMMARY_WEIGHT, PARAMETER_WEIGHT, DESCRIPTION_WEIGHT = 40, 24, 12, 8, 4
LAST_NAME_BONUS, EXACT_BONUS = 200, 1000


class NodeTypeDuplicate(BudflowError):
    """Two node types have the same name and version."""

    code = "node_type.duplicate"
    hint = "Give one of them another name or version, or uninstall one of the packages that declare it."


class NodeExtensionBroken(BudflowError):
    """An installed extension with node types cannot be loaded."""

    code = "node_type.extension_broken"
    hint = "Repair or uninstall the package that declares this entry point."


class Registry:
    """All node types, by name and version; read-only."""

    def __init__(self, specs: Iterable[NodeSpec]) -> None:
        """Raises NodeTypeDuplicate."""
        versions: dict[str, dict[int, NodeSpec]] = {}
        for spec in specs:
            if spec.version in versions.setdefault(spec.name, {}):
                raise NodeTypeDuplicate(f"There are two node types {spec.name} of version {spec.version}.")
            versions[spec.name][spec.version] = spec
        self._versions = versions
        self._newest = tuple(versions[name][max(versions[name])] for name in sorted(versions))
        self._words = {spec.name: _weigh_words(spec) for spec in self._newest}

    def get(self, type_name: str, version: int | None = None) -> NodeSpec | None:
        """The node type of this name and version (None: the newest); None when there is no such type."""
        versions = self._versions.get(type_name)
        if versions is None:
            return None
        return versions.get(max(versions) if version is None else version)

    def types(self) -> tuple[NodeSpec, ...]:
        """The newest version of every type, sorted by name."""
        return self._newest

    def search(self, query: str, limit: int = 10) -> tuple[NodeSpec, ...]:
        """The types that fit the words of `query`, best first, ties by name; all of them when it has no words."""
        words = tuple(word for word in _words(query) if word not in STOP_WORDS)
        if not words:
            return self._newest[:limit]
        scored = [(self._score(spec, query.strip().lower(), words), spec) for spec in self._newest]
        ranked = sorted((entry for entry in scored if entry[0] > 0), key=lambda entry: (-entry[0], entry[1].name))
        return tuple(spec for _, spec in ranked[:limit])

    def closest(self, type_name: str) -> str | None:
        """The type whose name looks most like a misspelt one, or that bears it without or with another family."""
        wanted = type_name.strip().lower()
        last_name = wanted.rpartition(".")[2]
        for spec in self._newest:
            if spec.name == wanted or spec.name.rpartition(".")[2] == last_name:
                return spec.name
        close = get_close_matches(wanted, [spec.name for spec in self._newest], n=1, cutoff=0.6)
        return close[0] if close else None

    def schema(self, spec: NodeSpec) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of a type's parameters; see budflow.nodes.parameter_schema."""
        return parameter_schema(spec.params)

    def _score(self, spec: NodeSpec, query: str, words: tuple[str, ...]) -> int:
        known = self._words[spec.name]
        score = EXACT_BONUS if query == spec.name else 0
        if query.replace(" ", "_").replace("-", "_") == spec.name.rpartition(".")[2]:
            score += LAST_NAME_BONUS
        for word in words:
            direct = known.get(word, 0)
            begun = max((weight // 2 for other, weight in known.items() if other.startswith(word)), default=0)
            score += max(direct, begun if len(word) > 2 else 0)
            if any(other in _words(spec.name) for other in SYNONYMS.get(word, ())):
                score += SYNONYM_WEIGHT
        return score


def build() -> Registry:
    """Import every node type that is installed. Raises NodeTypeDuplicate and NodeExtensionBroken."""
    return Registry([*_built_in(), *_extensions(entry_points(group=ENTRY_POINT_GROUP))])


def _built_in() -> Iterator[NodeSpec]:
    for module in pkgutil.walk_packages(budflow.nodes.__path__, f"{budflow.nodes.__name__}."):
        if not module.ispkg:
            yield from _specs_in(importlib.import_module(module.name))


def _extensions(points: Iterable[EntryPoint]) -> Iterator[NodeSpec]:
    for point in points:
        try:
            loaded = point.load()
        except (ImportError, AttributeError, SyntaxError) as error:
            raise NodeExtensionBroken(
                f"The entry point {point.name} ({point.value}) cannot be loaded: {error}"
            ) from error
        if isinstance(loaded, NodeSpec):
            yield loaded
        elif isinstance(loaded, ModuleType):
            yield from _specs_in(loaded)
        else:
            raise NodeExtensionBroken(f"The entry point {point.name} ({point.value}) is no node type and no module.")


def _specs_in(module: ModuleType) -> Iterator[NodeSpec]:
    """The node types declared in a module; those that it only imports belong to another."""
    for value in vars(module).values():
        if isinstance(value, NodeSpec) and value.call.__module__ == module.__name__:
            yield value


def _weigh_words(spec: NodeSpec) -> dict[str, int]:
    """Every word of a type with the weight of the best place where it stands."""
    weights: dict[str, int] = {}
    for text, weight in (
        (spec.name, TYPE_WEIGHT),
        (spec.summary, SUMMARY_WEIGHT),
        (" ".join(spec.params.model_fields), PARAMETER_WEIGHT),
        (spec.description, DESCRIPTION_WEIGHT),
    ):
        for word in _words(text):
            weights[word] = max(weight, weights.get(word, 0))
    return weights


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.findall(r"[a-z0-9]+", text.lower())))
