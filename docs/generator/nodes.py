"""docs/nodes: a page for each node type, from its declaration, and the index."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from budflow.model.http import HttpResponse
from budflow.model.node import Example, NodeSpec, Ports
from budflow.nodes.registry import Registry, build
from generator.markdown import Page, block, code, codes, json_block, page, sentence, table
from generator.schema import rows

KINDS = {
    "item": "the engine calls it for each item, several at a time; `retry` tries the failed items again",
    "batch": "the engine calls it with as many items as take about 10 ms, so that a long list stalls nothing",
    "list": "it sees all items, one after the other where they are too many for memory",
    "control": "it decides what happens next and does nothing itself",
}
FAMILIES = {
    "trigger": "where an execution enters",
    "flow": "which way items go",
    "data": "what becomes of the items",
    "files": "files of the server",
    "table": "large tables, by reference",
    "http": "other systems",
}


def pages() -> Iterator[Page]:
    """The index and one page a type."""
    registry = build()
    ours = [spec for spec in registry.types() if spec.call.__module__.startswith("budflow.")]  # No extension's.
    yield _index(ours)
    for spec in ours:
        yield _page(spec, registry)


def _index(found: Sequence[NodeSpec]) -> Page:
    parts = [
        "# Node types",
        "Each page is made from the declaration of the type, which is also what the editor, the API and an agent are "
        "shown; a test replays every example.",
    ]
    for family, specs in groupby(found, key=lambda spec: spec.name.partition(".")[0]):
        about = FAMILIES.get(family)
        parts.append(f"## {family}{f': {about}' if about else ''}")
        parts.append(
            table(
                ["type", "what it does", "kind"],
                ([f"[{code(spec.name)}]({_path(spec)})", spec.summary, spec.kind] for spec in specs),
            )
        )
    return page("nodes/README.md", *parts)


def _page(spec: NodeSpec, registry: Registry) -> Page:
    return page(
        f"nodes/{_path(spec)}",
        f"# {code(spec.name)}",
        spec.description,
        table(["", ""], _facts(spec)),
        "## Parameters",
        _parameters(registry.schema(spec)),
        *_credentials(spec),
        "## Examples",
        *(_example(example) for example in spec.examples),
        "[All node types](../README.md) · [Workflow format](../../workflow-format.md) · "
        "[Expressions](../../reference/expressions.md)",
    )


def _path(spec: NodeSpec) -> str:
    family, _, name = spec.name.partition(".")
    return f"{family}/{name}.md"


def _facts(spec: NodeSpec) -> Iterator[Sequence[str]]:
    yield "version", str(spec.version)
    yield "kind", f"{code(spec.kind)}: {KINDS[spec.kind]}"
    effect = spec.effect if isinstance(spec.effect, str) else f"by parameters. {sentence(spec.effect.__doc__)}"
    yield "effect", code(effect) if isinstance(spec.effect, str) else effect
    yield (
        "input ports",
        "none: it is a trigger" if spec.trigger else _ports(spec.inputs, spec.examples),
    )
    yield "output ports", f"{_ports(spec.outputs, spec.examples)}; `error` with `on_error`: `error_output`"
    yield "runs without items", "yes" if spec.run_on_empty else "only with `run_on_empty`"
    if spec.heavy:
        yield "place", "heavy: runs in a segment of its own, on another runner where there is one"
    if spec.runtime_env is not None:
        yield "runtime environment on Ray", code(spec.runtime_env)


def _ports(ports: Ports, examples: Sequence[Example]) -> str:
    if not callable(ports):
        return codes(ports)
    shown = dict.fromkeys(port for example in examples for port in ports(example.params))
    return f"by parameters; in the examples {codes(shown)}"


def _parameters(schema: Mapping[str, Any]) -> str:
    found = list(rows(schema))
    if not found:
        return "None."
    said = "Any string may hold [expressions](../../reference/expressions.md)"
    said += ", but for those marked *fixed*." if any(row.static for row in found) else "."
    if all(row.static for row in found):
        said = "All of them are *fixed* when the workflow is saved: none takes an expression."
    shown = (
        [code(row.name), row.type, row.default, row.description + (" *Fixed.*" if row.static else "")] for row in found
    )
    return f"{said}\n\n{table(['parameter', 'type', 'default', 'meaning'], shown)}"


def _credentials(spec: NodeSpec) -> Iterator[str]:
    if not spec.credentials:
        return
    yield "## Credentials"
    taken = (
        [
            code(name),
            codes(slot.kinds) if slot.kinds else "every kind that signs requests",
            "yes" if slot.required else "no",
            slot.description,
        ]
        for name, slot in spec.credentials.items()
    )
    yield table(["slot", "kinds", "required", "meaning"], taken)


def _example(example: Example) -> str:
    parts = [f"### {example.title}", "Parameters:", json_block(dict(example.params))]
    parts += ["Given:", json_block(_plain(example.given))]
    for rows_of_table in example.tables:
        parts += ["Carrying the table:", json_block(list(rows_of_table))]
    if example.answers:
        parts += ["While the server answers:", json_block([_answer(answer) for answer in example.answers])]
    if example.callee:
        parts += ["While the called workflow gives:", json_block(list(example.callee))]
    for path, content in example.files.items():
        parts += [f"While {code(path)} holds:", block("text", content.rstrip())]
    parts += ["Gives, by port:", json_block(_plain(example.expect))]
    for rows_of_table in example.makes:
        parts += ["And the table:", json_block(list(rows_of_table))]
    for path, content in example.writes.items():
        parts += [f"And leaves in {code(path)}:", block("text", content.rstrip())]
    if example.responds is not None:
        answer = example.responds
        shape = {"status": answer.status_code, "headers": dict(answer.headers), "body": answer.body}
        parts += ["And answers:", json_block(shape)]
    return "\n\n".join(parts)


def _plain(items: Any) -> Any:
    return {port: list(found) for port, found in items.items()} if isinstance(items, Mapping) else list(items)


def _answer(answer: HttpResponse) -> dict[str, Any]:
    return {"status": answer.status, "headers": dict(answer.headers), "body": answer.body.decode()}
