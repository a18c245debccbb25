"""What people see of a plan: where each segment runs, with what it asks for there."""

from rich.console import Console

from budflow.cli.draw_plan import plan_table


def test_what_a_segment_asks_for_stands_beside_where_it_runs() -> None:
    segment = {
        "number": 1,
        "nodes": ["train"],
        "path": ["each.body"],
        "where": "apart",
        "why": "It asks for resources.",
        "ends": None,
        "resources": {"num_cpus": 2.0},
        "labels": {"tier": "gpu", "zone": "!eu"},
    }
    console = Console(width=200)
    with console.capture() as capture:
        console.print(plan_table({"segments": [segment]}))

    assert "apart (num_cpus=2, tier=gpu, zone=!eu)" in capture.get()
