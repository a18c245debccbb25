"""Which runner actors are wanted on which nodes of a cluster."""

from ray_jobs.placement import NodeTooSmall, NoNodeFits, RayNode, Wanted, options_of, place


def node(number: int, resources: dict[str, float], **labels: str) -> RayNode:
    return RayNode(f"{number:056x}"[::-1], f"host-{number}", resources, labels)


HEAD = node(1, {"memory": 8e9})
SMALL = node(2, {"CPU": 2, "memory": 8e9}, tier="runner")
LARGE = node(3, {"CPU": 4, "GPU": 1, "budflow": 2, "memory": 8e9}, zone="a")


def counts(wanted: Wanted, *nodes: RayNode) -> dict[str, int]:
    placed = [one.host for one in place(wanted, nodes).nodes.values()]
    return {host: placed.count(host) for host in placed}


def test_by_default_each_core_has_one_and_a_node_without_cores_none() -> None:
    assert counts(Wanted(), HEAD, SMALL, LARGE) == {"host-2": 2, "host-3": 4}


def test_so_many_as_are_asked_for_are_on_each_node_that_has_cores() -> None:
    assert counts(Wanted(runners=1), HEAD, SMALL, LARGE) == {"host-2": 1, "host-3": 1}


def test_only_nodes_with_the_labels_and_resources_are_used() -> None:
    assert counts(Wanted(labels={"tier": "runner"}), HEAD, SMALL, LARGE) == {"host-2": 2}
    assert counts(Wanted(resources={"budflow": 0.5}), HEAD, SMALL, LARGE) == {"host-3": 4}
    assert counts(Wanted(runners=3, resources={"memory": 1e9}), HEAD) == {"host-1": 3}


def test_names_are_the_same_for_everybody_who_asks_for_the_same() -> None:
    names = list(place(Wanted(), [LARGE, SMALL]).nodes)

    assert names == list(place(Wanted(), [SMALL, LARGE]).nodes)
    assert "budflow-runner-200000000000-1" in names
    assert len(set(names)) == 6


def test_a_node_that_holds_fewer_says_so_only_where_more_were_asked_for() -> None:
    assert place(Wanted(resources={"budflow": 1}), [LARGE]).problems == ()

    few = place(Wanted(runners=3, resources={"budflow": 1}), [LARGE])
    assert len(few.nodes) == 2
    [problem] = few.problems
    assert isinstance(problem, NodeTooSmall)
    assert "room for 2 of 3" in problem.message


def test_where_no_node_fits_it_is_told_what_was_asked_for_and_what_there_is() -> None:
    [problem] = place(Wanted(labels={"tier": "gpu"}, resources={"GPU": 2}), [SMALL, LARGE]).problems

    assert isinstance(problem, NoNodeFits)
    assert "the label tier=gpu and GPU=2" in problem.message
    assert "(host-3) has CPU=4, GPU=1, budflow=2" in problem.message
    assert "tier=runner" in problem.message


def test_an_actor_takes_nothing_of_its_node_but_what_is_asked_for() -> None:
    assert options_of(Wanted()) == {"num_cpus": 0, "num_gpus": 0, "resources": {}, "label_selector": {}}
    taken = options_of(Wanted(labels={"tier": "runner"}, resources={"CPU": 0.5, "memory": 1e9, "budflow": 1}))
    assert taken == {
        "num_cpus": 0.5,
        "num_gpus": 0,
        "memory": 1_000_000_000,
        "resources": {"budflow": 1},
        "label_selector": {"tier": "runner"},
    }
