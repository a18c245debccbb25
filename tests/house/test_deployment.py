"""What Dockerfile, docker-compose.ray.yml and configs/ say holds for the settings and for the design of the cluster."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from budflow.settings import Settings

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
COMPOSE_TEXT = (ROOT / "docker-compose.ray.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PINNED = re.compile(r"^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$")

# Read by docker compose itself, not by the server.
COMPOSE_ONLY = {"BUDFLOW_DOMAIN"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)["services"]
    return found


def command_of(service: dict[str, Any]) -> list[str]:
    command = service.get("command", [])
    return shlex.split(command) if isinstance(command, str) else [word for part in command for word in part.split("\n")]


def ray_start_of(service: dict[str, Any]) -> str:
    """The command line of a service as one string, which holds `ray start` where the service is a Ray node."""
    return " ".join(command_of(service))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_file_holds_valid_settings(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_CONFIG_FILE", str(path))

    settings = Settings()

    assert tomllib.loads(path.read_text()).keys() <= settings.model_fields_set


def test_there_is_a_configuration_for_a_laptop_a_local_ray_and_a_cluster() -> None:
    assert [path.stem for path in CONFIGS] == ["cluster", "laptop", "ray-local"]


def test_every_variable_named_in_deployment_files_is_a_setting() -> None:
    files = [ROOT / "Dockerfile", ROOT / "docker-compose.ray.yml", *(ROOT / "configs").iterdir()]
    named = {name for file in files for name in re.findall(r"BUDFLOW_[A-Z_]+", file.read_text())}

    assert named - COMPOSE_ONLY <= {f"BUDFLOW_{field.upper()}" for field in Settings.model_fields}


def test_the_variables_of_the_main_are_valid(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    environment = services["main"]["environment"]
    for name, value in environment.items():
        if name.startswith("BUDFLOW_") and name != "BUDFLOW_CONFIG_FILE":
            monkeypatch.setenv(name, re.sub(r"\$\{\w+:\?\}", "secret", value))
    mounted = [volume.split(":") for volume in services["main"]["volumes"]]
    [config] = [host for host, inside, *_ in mounted if inside == environment["BUDFLOW_CONFIG_FILE"]]

    settings = Settings(config_file=ROOT / config)

    assert settings.executor == "ray"
    assert settings.database_url == "postgresql://budflow:secret@postgres:5432/budflow"
    assert f"--address={settings.ray_address}" in ray_start_of(services["ray-worker"])


def test_the_cluster_has_a_main_a_database_and_a_ray_with_its_state_in_redis(services: dict[str, Any]) -> None:
    assert {"main", "postgres", "ray-head", "ray-worker", "redis"} <= services.keys()
    assert services["ray-head"]["environment"]["RAY_REDIS_ADDRESS"] == "redis:6379"


def test_the_ray_head_takes_no_work_and_shows_a_dashboard(services: dict[str, Any]) -> None:
    start = ray_start_of(services["ray-head"])

    assert "--head" in start
    assert "--num-cpus=0" in start
    assert "--include-dashboard=true" in start


def test_the_ray_node_beside_the_server_takes_no_work(services: dict[str, Any]) -> None:
    assert "--num-cpus=0" in ray_start_of(services["main"])


def test_ray_workers_offer_the_sandbox_resource(services: dict[str, Any]) -> None:
    [resources] = [
        word.removeprefix("--resources=")
        for word in command_of(services["ray-worker"])
        if word.startswith("--resources=")
    ]

    assert json.loads(resources)["sandbox"] > 0


def test_every_part_of_ray_asks_for_the_token(services: dict[str, Any]) -> None:
    nodes = [service for service in services.values() if "ray start" in ray_start_of(service)]

    assert len(nodes) == 3
    for node in nodes:
        assert node["environment"]["RAY_AUTH_MODE"] == "token"
        assert node["environment"]["RAY_AUTH_TOKEN"] == "${RAY_AUTH_TOKEN:?}"


def test_only_the_main_gets_the_encryption_keys_and_its_own_ray_node_does_not(services: dict[str, Any]) -> None:
    holders = {
        name for name, service in services.items() if "BUDFLOW_ENCRYPTION_KEYS" in service.get("environment", {})
    }

    assert holders == {"main"}
    assert "env -u BUDFLOW_ENCRYPTION_KEYS" in ray_start_of(services["main"]).partition("ray start")[0]


def test_only_sandboxd_may_hold_the_docker_socket(services: dict[str, Any]) -> None:
    holders = {name for name, service in services.items() if "docker.sock" in json.dumps(service)}

    assert holders <= {"sandboxd"}


def test_every_image_is_built_here_or_pinned_by_digest(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "build" in service or PINNED.match(service["image"]), name
    for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert PINNED.match(image), image


def test_only_the_main_publishes_a_port_beyond_loopback(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            assert name == "main" or port.startswith("127.0.0.1:"), f"{name} publishes {port}"


def test_the_database_and_the_redis_of_ray_have_no_way_out(services: dict[str, Any]) -> None:
    networks = yaml.safe_load(COMPOSE_TEXT)["networks"]

    for name in ("postgres", "redis"):
        assert all(networks[network].get("internal") for network in services[name]["networks"]), name


def test_no_secret_stands_in_the_compose_file() -> None:
    values = re.findall(r"(?:PASSWORD|TOKEN|AUTH): (\S+)", COMPOSE_TEXT)

    assert values
    assert all(value.startswith("${") and value.endswith(":?}") for value in values)


def test_every_secret_that_compose_asks_for_is_in_the_example() -> None:
    example = (ROOT / "configs" / "cluster.env.example").read_text()

    asked = set(re.findall(r"\$\{(\w+)", COMPOSE_TEXT))
    assert asked == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_the_image_runs_the_server_as_an_ordinary_user_and_watches_its_health() -> None:
    last_stage = DOCKERFILE.rsplit("\nFROM ", 1)[1]

    assert re.search(r"^USER budflow$", last_stage, re.MULTILINE)
    assert "/readyz" in last_stage
    assert 'CMD ["budflow", "serve"]' in last_stage
