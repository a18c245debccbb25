"""What `budflow worker --ray` is told to want, from its options."""

import pytest

from budflow.cli.exit_codes import UsageError
from budflow.cli.runner_options import wanted_runners
from ray_jobs.placement import Wanted
from tests.cli.conftest import Cli

ADDRESS = "head:6379"


def test_without_ray_nothing_is_wanted() -> None:
    assert wanted_runners(None, None, None, None) is None


def test_names_of_resources_are_those_of_workflows_and_of_ray() -> None:
    wanted = wanted_runners(ADDRESS, 3, ["tier=runner"], ["num_cpus=0.5", "GPU=1", "budflow=2"])

    assert wanted == Wanted(3, {"tier": "runner"}, {"CPU": 0.5, "GPU": 1.0, "budflow": 2.0})


@pytest.mark.parametrize("label", ["tier", "=x", "tier=", " = "])
def test_a_label_is_a_name_and_a_value(label: str) -> None:
    with pytest.raises(UsageError, match="NAME=VALUE"):
        wanted_runners(ADDRESS, None, [label], None)


@pytest.mark.parametrize("amount", ["many", "-1", "nan", "inf"])
def test_an_amount_is_a_number_from_zero_on(amount: str) -> None:
    with pytest.raises(UsageError, match="no number"):
        wanted_runners(ADDRESS, None, None, [f"CPU={amount}"])


def test_what_is_for_ray_is_refused_without_it(cli: Cli) -> None:
    assert "--ray is not given" in cli("worker", "--runners", "2", exits=2).stderr
