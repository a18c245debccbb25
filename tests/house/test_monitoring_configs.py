"""Dashboards, alerts and the guide name metrics that a real scrape has; the scrapes reach what the cluster serves."""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from budflow.api.metrics import METRICS
from tests.http_server import open_http_server, workflow

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "configs" / "grafana" / "dashboards").glob("*.json"))
SCRAPES: list[dict[str, Any]] = yaml.safe_load((ROOT / "configs/prometheus/prometheus.yml").read_text())[
    "scrape_configs"
]
ALERTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "configs/prometheus/alerts.yml").read_text())["groups"]
#: Of PromQL and of labels, what may be taken for a metric.
NAME = re.compile(r"\b(?:budflow|process|ray)_[a-z_]+\b")
each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)

WEBHOOK = workflow(
    {"hook": ("trigger.webhook", {"path": "greet", "respond": "last_node"}), "set": ("data.set", {"values": {"a": 1}})},
    ("hook", "set"),
)


@pytest.fixture(scope="module")
def scraped() -> set[str]:
    """The names of everything that a server gives: of the samples, and of the metrics that have none yet."""
    import asyncio

    async def scrape() -> set[str]:
        async with open_http_server() as server:
            await server.publish(WEBHOOK)
            await server.client.post("/webhook/greet", json={})
            text = (await server.client.get("/metrics")).text
        families = list(text_string_to_metric_families(text))
        empty = {
            f"{family.name}{end}"
            for family in families
            for end in {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        }
        return empty | {sample.name for family in families for sample in family.samples}

    return asyncio.run(scrape())


def expressions(path: Path) -> Iterator[str]:
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


@each_dashboard
def test_a_dashboard_has_a_uid_and_its_panels_stand_in_rows(path: Path) -> None:
    board = json.loads(path.read_text())

    assert re.fullmatch(r"[a-z-]{1,40}", board["uid"])
    assert board["panels"][0]["type"] == "row"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert len({path.name for path in DASHBOARDS}) == len({json.loads(p.read_text())["uid"] for p in DASHBOARDS})
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert panel["title"] and panel["description"]
            assert panel["targets"]
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


@each_dashboard
def test_panels_do_not_cover_each_other(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@each_dashboard
def test_a_dashboard_names_only_metrics_that_there_are(path: Path, scraped: set[str]) -> None:
    named = {name for expression in expressions(path) for name in NAME.findall(expression)}

    assert named
    assert {name for name in named if not name.startswith("ray_")} <= scraped
    assert {name for name in named if name.startswith("ray_")} <= metrics_of_ray()


def metrics_of_ray() -> set[str]:
    """The names in the dashboards that Ray brings for itself."""
    spec = find_spec("ray")
    assert spec is not None and spec.origin is not None
    brought = Path(spec.origin).parent / "dashboard" / "modules" / "metrics"
    return {name for path in brought.rglob("*.py") for name in re.findall(r"\bray_[a-z_]+\b", path.read_text())}


def test_alerts_name_only_metrics_that_there_are_and_say_what_to_do(scraped: set[str]) -> None:
    rules = [rule for group in ALERTS for rule in group["rules"]]

    assert len(rules) > 3
    for rule in rules:
        assert set(NAME.findall(rule["expr"])) <= scraped, rule["alert"]
        assert rule["annotations"]["summary"].endswith(".")


def test_the_guide_names_only_metrics_that_there_are(scraped: set[str]) -> None:
    page = (ROOT / "docs" / "guides" / "monitoring.md").read_text()
    named = {
        name for name in re.findall(r"`([a-z_]+)(?:\{[^`]*\})?`", page) if name.startswith(("budflow_", "process_"))
    }

    assert named
    assert named <= scraped | {declared.name for declared in METRICS if declared.kind == "histogram"}


def test_the_reference_names_every_metric() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()

    for declared in METRICS:
        assert f"| `{declared.name}{'_total' if declared.kind == 'counter' else ''}` |" in page


def test_names_follow_the_conventions_of_prometheus() -> None:
    for declared in METRICS:
        assert declared.name.startswith("budflow_")
        assert not declared.name.endswith(("_total", "_ms", "_milliseconds", "_minutes"))
        assert not set(declared.labels) & {"le", "quantile", "workflow", "workflow_id", "execution_id", "path"}
        assert declared.meaning.endswith(".")


def test_prometheus_asks_each_main_and_sends_the_key_from_a_file() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.ray.yml").read_text())
    jobs = {scrape["job_name"]: scrape for scrape in SCRAPES}
    files = {f"/run/secrets/{name}" for name in compose["services"]["prometheus"]["secrets"]}

    [static] = jobs["budflow"]["static_configs"]
    assert {target.partition(":")[0] for target in static["targets"]} == {"main-1", "main-2"}
    assert jobs["budflow"]["metrics_path"] == "/metrics"
    [discovery] = jobs["ray"]["http_sd_configs"]
    assert discovery["url"] == "http://ray-head:8265/api/prometheus/sd"
    for part in (jobs["budflow"], discovery):
        assert part["authorization"]["type"] == "Bearer"
        assert part["authorization"]["credentials_file"] in files


def test_grafana_finds_the_dashboards_and_the_data_where_they_are() -> None:
    provisioning = ROOT / "configs" / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    [provider] = yaml.safe_load((provisioning / "dashboards" / "dashboards.yaml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.ray.yml").read_text())["services"]

    assert source["url"] == "http://prometheus:9090"
    assert f"./configs/grafana/dashboards:{provider['options']['path']}:ro" in compose["grafana"]["volumes"]
    for path in DASHBOARDS:
        sources = {panel["datasource"]["uid"] for panel in json.loads(path.read_text())["panels"] if "targets" in panel}
        assert sources == {source["uid"]}
