"""What a heavy node asks for, against what Ray nodes have."""

from budflow.model.workflow import Node
from ray_jobs.demand import Demand
from ray_jobs.placement import RayNode

SMALL = RayNode("a" * 56, "one", {"CPU": 2, "memory": 8e9}, {"tier": "cpu"})
LARGE = RayNode("b" * 56, "two", {"CPU": 8, "GPU": 1, "license": 2, "memory": 8e9}, {"tier": "gpu", "zone": "eu"})


def demand(resources: dict[str, float], **labels: str) -> Demand:
    return Demand.of(Node("it", "data.sort", resources=resources, labels=labels))


def test_a_node_that_says_nothing_of_cpus_asks_for_one() -> None:
    assert not demand({}).met_by(RayNode("c" * 56, "head", {"memory": 8e9}, {}))
    assert demand({}).met_by(SMALL)
    assert demand({"num_cpus": 0}).met_by(RayNode("c" * 56, "head", {"memory": 8e9}, {}))


def test_a_node_meets_it_with_all_amounts_and_all_labels() -> None:
    assert demand({"num_cpus": 4, "license": 1}).met_by(LARGE)
    assert not demand({"num_cpus": 4}).met_by(SMALL)
    assert demand({}, tier="gpu").met_by(LARGE)
    assert not demand({}, tier="gpu", zone="!eu").met_by(LARGE)
    assert demand({}, zone="!eu").met_by(SMALL)


def test_ray_is_told_in_its_own_words() -> None:
    options = demand({"num_gpus": 1, "memory": 1e9, "license": 1}, tier="gpu", zone="!in(us, eu)").options()

    assert options == {
        "num_cpus": 1,
        "num_gpus": 1,
        "memory": 1e9,
        "resources": {"license": 1},
        "label_selector": {"tier": "gpu", "zone": "!in(us, eu)"},
    }
    assert demand({}).options() == {"num_cpus": 1}


def test_where_no_node_has_it_the_message_says_what_they_have_of_it() -> None:
    message = demand({"num_cpus": 16, "license": 1}, tier="tpu").nowhere([SMALL, LARGE])

    assert message == (
        "No Ray node has num_cpus=16, license=1 on a node with tier=tpu: "
        "aaaaaaaaaaaa (one) has num_cpus=2, license=0, tier=cpu; "
        "bbbbbbbbbbbb (two) has num_cpus=8, license=2, tier=gpu."
    )
    assert demand({}).nowhere([]) == "No Ray node has num_cpus=1: there is none at all."
    assert demand({}).nowhere([SMALL] * 7).endswith("; and 2 more.")


def test_where_others_use_it_the_message_says_what_is_free() -> None:
    message = demand({"num_cpus": 4, "license": 1}).taken([LARGE], {LARGE.id: {"CPU": 1, "license": 2}})

    assert message == "Waits on Ray for num_cpus=4, license=1: bbbbbbbbbbbb (two) has num_cpus=1 of 8 free."
