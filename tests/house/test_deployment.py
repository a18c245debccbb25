"""What Dockerfile, docker-compose.ray.yml and configs/ say holds for the settings and for the design of the cluster."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from budflow.cli.main import app, load_command
from budflow.settings import Settings
from budflow.storage.blobs.place import read_blob_url
from ray_jobs.sandbox_address import PLUGIN

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
COMPOSE_TEXT = (ROOT / "docker-compose.ray.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PINNED = re.compile(r"^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$")

# Read by docker compose and the proxy, or by a sandbox worker, not by the server.
NO_SETTINGS = {"BUDFLOW_DOMAIN", "BUDFLOW_TICKET"}
MAINS = ("main-1", "main-2")
#: What decrypts credentials and what reaches the stores: not for Ray's own processes.
KEPT_FROM_RAY = ("BUDFLOW_ENCRYPTION_KEYS", "BUDFLOW_DATABASE_URL", "BUDFLOW_REDIS_URL", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)["services"]
    return found


def command_of(service: dict[str, Any]) -> list[str]:
    command = service.get("command", [])
    return shlex.split(command) if isinstance(command, str) else [word for part in command for word in part.split("\n")]


def deployment_files() -> Iterator[Path]:
    """Everything that is deployed from, texts all of them."""
    yield ROOT / "Dockerfile"
    yield ROOT / "docker-compose.ray.yml"
    yield from (path for path in sorted((ROOT / "configs").rglob("*")) if path.is_file())


def budflow_commands(text: str) -> Iterator[list[str]]:
    """Every command line of BudFlow in a text, in words, the first of them an option or a command."""
    for line in text.splitlines():
        match = re.search(r"(?:^|exec |\()budflow((?: --?[\w-]+ \S+)* (?:serve|worker)\b.*)$", line.strip(" -#"))
        if match:
            yield shlex.split(match[1])


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
    named = {name for file in deployment_files() for name in re.findall(r"BUDFLOW_[A-Z_]+", file.read_text())}

    assert named - NO_SETTINGS <= {f"BUDFLOW_{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("name", [*MAINS, "ray-pool"])
def test_the_variables_of_each_part_are_valid(
    name: str, services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in services[name]["environment"].items():
        if variable.startswith("BUDFLOW_"):
            monkeypatch.setenv(variable, re.sub(r"\$\{\w+:\?\}", "secret-0123456789", value))
    [command] = budflow_commands("\n".join(services[name]["command"]))
    mounted = dict(volume.split(":")[1::-1] for volume in services[name]["volumes"])

    settings = Settings(config_file=ROOT / mounted[command[command.index("--config") + 1]])

    assert settings.database_url == "postgresql://budflow:secret-0123456789@postgres:5432/budflow"
    assert settings.blob_url is not None
    assert str(read_blob_url(settings.blob_url)) == "s3://budflow/blobs/ at http://s3:9000"
    assert settings.redis_url is not None
    assert settings.claim is (name == "ray-pool")


def test_every_command_line_is_one_that_there_is() -> None:
    found = [command for file in deployment_files() for command in budflow_commands(file.read_text())]
    options = {name for parameter in get_command(app).params for name in parameter.opts}

    assert {command[0] if not command[0].startswith("-") else command[2] for command in found} >= {"serve", "worker"}
    for words in found:
        at = next(number for number, word in enumerate(words) if word in ("serve", "worker"))
        known = {name for parameter in load_command(words[at]).params for name in parameter.opts}
        assert {word for word in words[:at] if word.startswith("--")} <= options, words
        assert {word for word in words[at:] if word.startswith("--")} <= known, words


def test_every_main_has_its_own_data_and_the_same_key_of_its_owner(services: dict[str, Any]) -> None:
    volumes = [services[name]["volumes"][0] for name in MAINS]

    assert len(set(volumes)) == len(MAINS)
    for name in MAINS:
        assert services[name]["secrets"] == ["owner_key"]
        assert "install -m 0600 /run/secrets/owner_key" in " ".join(command_of(services[name]))


def test_each_main_has_a_gate_that_both_proxies_agree_with(services: dict[str, Any]) -> None:
    front = (ROOT / "configs/caddy/front.Caddyfile").read_text()
    gate = (ROOT / "configs/caddy/gate.Caddyfile").read_text()
    port = Settings.model_fields["port"].default

    assert re.findall(r"main-\d:\d+", front) == [f"{name}:8711" for name in MAINS]
    assert ":8711 {" in gate and f"127.0.0.1:{port}" in gate
    for name in MAINS:
        [mine] = [one for one in services.values() if one.get("network_mode") == f"service:{name}"]
        assert mine["volumes"] == ["./configs/caddy/gate.Caddyfile:/etc/caddy/Caddyfile:ro"]


def test_the_cluster_has_mains_stores_runners_and_a_ray_with_its_state_in_redis(services: dict[str, Any]) -> None:
    assert {*MAINS, "postgres", "s3", "wakes", "ray-head", "ray-worker", "ray-pool", "redis"} <= services.keys()
    assert services["ray-head"]["environment"]["RAY_REDIS_ADDRESS"] == "redis:6379"


def test_the_ray_head_takes_no_work_and_shows_a_dashboard(services: dict[str, Any]) -> None:
    start = ray_start_of(services["ray-head"])

    assert "--head" in start
    assert "--num-cpus=0" in start
    assert "--include-dashboard=true" in start


def test_the_ray_node_beside_the_pool_takes_no_work(services: dict[str, Any]) -> None:
    assert "--num-cpus=0" in ray_start_of(services["ray-pool"])


def test_the_pool_joins_the_cluster_that_the_workers_join(services: dict[str, Any]) -> None:
    [worker] = budflow_commands("\n".join(services["ray-pool"]["command"]))
    address = worker[worker.index("--ray") + 1]

    for name in ("ray-worker", "ray-pool"):
        assert f"--address={address}" in ray_start_of(services[name])


def test_the_pool_may_take_as_long_to_stop_as_its_runners_to_drain(services: dict[str, Any]) -> None:
    [worker] = budflow_commands("\n".join(services["ray-pool"]["command"]))

    assert int(services["ray-pool"]["stop_grace_period"].removesuffix("s")) > int(
        worker[worker.index("--drain-seconds") + 1]
    )


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


def test_ray_tells_nobody_of_its_use(services: dict[str, Any]) -> None:
    for service in services.values():
        if "ray start" in ray_start_of(service):
            assert service["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"


def test_only_mains_and_the_pool_hold_what_opens_the_stores_and_no_process_of_ray_does(
    services: dict[str, Any],
) -> None:
    for secret in KEPT_FROM_RAY:
        holders = {name for name, service in services.items() if secret in service.get("environment", {})}
        assert holders == {*MAINS, "ray-pool"}, secret
        assert f"-u {secret}" in ray_start_of(services["ray-pool"]).partition("ray start")[0]


def test_only_sandboxd_may_hold_the_docker_socket(services: dict[str, Any]) -> None:
    holders = {name for name, service in services.items() if "docker.sock" in json.dumps(service)}

    assert holders == {"sandboxd"}


def test_sandboxd_has_a_user_of_its_own_and_none_of_the_secrets(services: dict[str, Any]) -> None:
    sandboxd = services["sandboxd"]

    assert sandboxd["user"].split(":")[0] not in ("0", "10001")
    assert "useradd --uid 10002 --gid budflow" in DOCKERFILE
    assert sandboxd["environment"] == {"BUDFLOW_SANDBOX": "docker"}
    assert "secrets" not in sandboxd
    assert {network for network in sandboxd["networks"] if network in services["main-1"]["networks"]} == set()


def test_sandboxd_is_started_as_its_command_line_allows_and_docker_finds_its_workers_sockets(
    services: dict[str, Any],
) -> None:
    words = command_of(services["sandboxd"])
    serve = next(command for name, command in load_command("sandbox").commands.items() if name == "serve")
    known = {name for parameter in serve.params for name in parameter.opts}
    directory = words[words.index("--workers-directory") + 1]

    assert {word for word in words[words.index("serve") :] if word.startswith("--")} <= known
    assert f"{directory}:{directory}" in services["sandboxd"]["volumes"]


def test_mains_and_runners_find_sandboxd_where_it_serves(services: dict[str, Any]) -> None:
    settings = Settings(config_file=ROOT / "configs" / "cluster.toml")
    address = services["ray-worker"]["environment"]["BUDFLOW_SANDBOX_ADDRESS"]

    assert settings.sandbox_address == address == "unix:/run/budflow/sandboxd.sock"
    assert "sandbox:/run/budflow" in services["sandboxd"]["volumes"]
    for name in (*MAINS, "ray-worker"):
        assert "sandbox:/run/budflow:ro" in services[name]["volumes"], name
    plugins = json.loads(services["ray-worker"]["environment"]["RAY_RUNTIME_ENV_PLUGINS"])
    assert plugins == [PLUGIN]


def test_every_image_is_built_here_or_pinned_by_digest(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "build" in service or PINNED.match(service["image"]), name
    for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert PINNED.match(image), image


def test_only_the_tls_proxy_publishes_a_port_beyond_loopback(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            assert name == "tls" or port.startswith("127.0.0.1:"), f"{name} publishes {port}"


def test_the_stores_have_no_way_out(services: dict[str, Any]) -> None:
    networks = yaml.safe_load(COMPOSE_TEXT)["networks"]

    for name in ("postgres", "redis", "wakes", "s3"):
        assert all(networks[network].get("internal") for network in services[name]["networks"]), name


def test_no_secret_stands_in_the_compose_file() -> None:
    values = re.findall(r"(?:PASSWORD|TOKEN|AUTH|SECRET_ACCESS_KEY|_KEYS?): (\S+)", COMPOSE_TEXT)
    secrets = yaml.safe_load(COMPOSE_TEXT)["secrets"]

    assert len(values) > 5
    assert all(list(secret) == ["environment"] for secret in secrets.values())
    assert all(value.startswith("${") and value.endswith(":?}") for value in values)


def test_every_secret_that_compose_asks_for_is_in_the_example() -> None:
    example = (ROOT / "configs" / "cluster.env.example").read_text()

    secrets = yaml.safe_load(COMPOSE_TEXT)["secrets"].values()
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE_TEXT)) | {secret["environment"] for secret in secrets}
    assert asked == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_the_image_runs_the_server_as_an_ordinary_user_and_watches_its_health() -> None:
    last_stage = DOCKERFILE.rsplit("\nFROM ", 1)[1]

    assert re.search(r"^USER budflow$", last_stage, re.MULTILINE)
    assert "/readyz" in last_stage
    assert 'CMD ["budflow", "serve"]' in last_stage


def test_the_image_has_all_that_the_package_is_built_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], "LICENSE", "pyproject.toml"}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sent = {line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {name for line in copied for name in line.split()} == needed == sent


def test_the_image_runs_every_node_type() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys() - {"dev"}

    [installed] = re.findall(r'^RUN .*pip install .*"\.\[(.+)\]"$', DOCKERFILE, re.MULTILINE)
    assert {*installed.split(",")} == extras


def test_what_only_monitoring_needs_is_a_profile(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if service.get("profiles") == ["monitoring"]} == {
        "prometheus",
        "grafana",
    }


def test_every_file_that_is_mounted_is_there(services: dict[str, Any]) -> None:
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]

    assert [path for path in mounted if path.startswith("./") and not (ROOT / path).exists()] == []
