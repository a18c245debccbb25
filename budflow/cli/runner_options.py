"""What `budflow worker --ray` takes: how many runner actors, on which nodes, and what each takes of its node."""

import math
from typing import Annotated

import typer

from budflow.cli.exit_codes import UsageError
from ray_jobs.placement import RAY_NAMES, Wanted

RUNNERS_MAX = 256

RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="HOST:PORT",
        help="Run nothing here, but keep runner actors on the Ray cluster of which this machine is a node.",
    ),
]
RunnersOption = Annotated[
    int | None,
    typer.Option(min=1, max=RUNNERS_MAX, help="With --ray: actors on each node; without, one for each of its CPUs."),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="With --ray: only on nodes with this label; repeatable."),
]
ResourceOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=AMOUNT",
        help="With --ray: what each actor takes of its node, such as CPU=0.5 or a custom resource; repeatable.",
    ),
]


def wanted_runners(
    ray: str | None, runners: int | None, labels: list[str] | None, resources: list[str] | None
) -> Wanted | None:
    """What is wanted on Ray; None without `--ray`. Raises UsageError."""
    if ray is None:
        if runners is not None or labels or resources:
            raise UsageError("--runners, --label and --resource say what is kept on Ray, and --ray is not given.")
        return None
    amounts = {name: _amount(name, text) for name, text in map(_pair, resources or ())}
    return Wanted(
        runners, dict(map(_pair, labels or ())), {RAY_NAMES.get(n, n): amount for n, amount in amounts.items()}
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise UsageError(f"`{text}` is not NAME=VALUE.")
    return name.strip(), value.strip()


def _amount(name: str, text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount >= 0):
        raise UsageError(f"The amount of {name}, `{text}`, is no number from 0 on.")
    return amount
