"""What configs/ray says holds for Ray's own schema and options, and for the settings of BudFlow."""

import json
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from budflow.cli.main import load_command

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "ray"
CLUSTER: dict[str, Any] = yaml.safe_load((CONFIGS / "cluster.yaml").read_text())
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all((CONFIGS / "kuberay.yaml").read_text()))


def ray_directory() -> Path:
    # The package itself is not imported: it takes half a second.
    spec = find_spec("ray")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture(scope="module")
def ray_options() -> set[str]:
    """The options of Ray's command line."""
    return set(re.findall(r'"--([a-z][a-z-]+)"', (ray_directory() / "scripts" / "scripts.py").read_text()))


def groups() -> list[dict[str, Any]]:
    spec = DOCUMENTS[0]["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def containers() -> list[dict[str, Any]]:
    return [one for group in groups() for one in group["template"]["spec"]["containers"]]


def test_the_cluster_file_meets_rays_schema() -> None:
    schema = json.loads((ray_directory() / "autoscaler" / "ray-schema.json").read_text())

    jsonschema.validate(CLUSTER, schema)


def test_every_option_of_ray_is_one(ray_options: set[str]) -> None:
    commands = " ".join(CLUSTER["head_start_ray_commands"] + CLUSTER["worker_start_ray_commands"])

    assert set(re.findall(r"--([a-z-]+)", commands)) <= ray_options
    for group in groups():
        assert group["rayStartParams"].keys() <= ray_options


def test_both_have_a_head_without_work_a_token_and_no_usage_statistics() -> None:
    [_, head] = CLUSTER["head_start_ray_commands"]
    for said in ("--num-cpus=0", "RAY_AUTH_MODE=token", "--disable-usage-stats", "--dashboard-host=127.0.0.1"):
        assert said in head
    assert groups()[0]["rayStartParams"]["num-cpus"] == "0"
    for container in containers():
        environment = {one["name"]: one for one in container["env"]}
        assert environment["RAY_AUTH_MODE"]["value"] == "token"
        assert environment["RAY_USAGE_STATS_ENABLED"]["value"] == "0"


def test_no_secret_stands_in_the_files() -> None:
    for container in containers():
        for one in container["env"]:
            if re.search("TOKEN|PASSWORD|KEYS|DATABASE_URL|REDIS_URL", one["name"]):
                assert one["valueFrom"]["secretKeyRef"]["name"] == "budflow"
    assert "$(cat " in " ".join(CLUSTER["head_start_ray_commands"])


def test_the_release_of_ray_is_the_one_that_is_installed() -> None:
    assert DOCUMENTS[0]["spec"]["rayVersion"] == version("ray")


def test_every_image_is_ours_in_this_release() -> None:
    assert {container["image"] for container in containers()} == {f"budflow:{version('budflow')}"}


def test_containers_may_do_no_more_than_they_need() -> None:
    for container in containers():
        assert container["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_only_the_pool_holds_what_opens_the_stores() -> None:
    holders = [one["name"] for one in containers() for variable in one["env"] if "BUDFLOW_" in variable["name"]]

    assert set(holders) == {"pool"}


def test_the_pool_keeps_runners_on_the_nodes_that_are_labelled_for_them() -> None:
    [pool] = [container for container in containers() if container["name"] == "pool"]
    label = pool["command"][pool["command"].index("--label") + 1]

    assert groups()[1]["rayStartParams"]["labels"] == label
    assert f"--labels={label}" in CLUSTER["worker_start_ray_commands"][1]


def test_the_command_of_the_pool_is_one_that_there_is() -> None:
    [pool] = [container for container in containers() if container["name"] == "pool"]
    known = {name for parameter in load_command("worker").params for name in parameter.opts}

    assert pool["command"][:2] == ["budflow", "worker"]
    assert {word for word in pool["command"] if word.startswith("--")} <= known


def test_a_network_policy_fences_rays_ports() -> None:
    policy = DOCUMENTS[1]

    assert policy["kind"] == "NetworkPolicy"
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert all(group["template"]["metadata"]["labels"] == selected for group in groups())
