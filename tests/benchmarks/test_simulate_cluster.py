"""The simulation of a cluster obeys what can be worked out by hand."""

from dataclasses import replace
from random import Random

import pytest

from benchmarks.simulate_cluster import (
    CORES,
    ITEM_SECONDS,
    Measured,
    executions_on,
    items_on,
    work_off,
)

#: A cluster on which only the work itself costs anything.
FREE = Measured(
    runner_seconds=0.001,
    database_seconds=1e-9,
    looking_seconds=0.0,
    connections=8,
    chunk_seconds=0.0,
    item_seconds=0.0,
    hop_seconds=0.0,
)


def test_without_overhead_cores_compute_all_the_time() -> None:
    spent = work_off(FREE, 10_000, 8, Random(1))

    assert spent.computing_seconds == pytest.approx(10_000 * ITEM_SECONDS, rel=0.01)
    assert spent.seconds == pytest.approx(spent.computing_seconds / 8, rel=0.01)


def test_no_core_computes_two_chunks_at_a_time() -> None:
    for cores in (1, 3, 64):
        spent = work_off(Measured.read(), 5_000, cores, Random(cores))

        assert spent.seconds >= spent.computing_seconds / cores
        assert spent.seconds >= spent.loop_seconds


def test_one_loop_bounds_however_many_cores_there_are() -> None:
    slow = replace(FREE, chunk_seconds=0.005)
    spent = work_off(slow, 20_000, 10_000, Random(1))

    assert spent.seconds == pytest.approx(spent.chunks * 0.005, rel=0.05)
    assert "loop of one runner" in items_on(slow, 1_000).bottleneck


def test_split_into_sub_workflows_a_list_is_packed_by_many_loops() -> None:
    measured = Measured.read()

    assert items_on(measured, 100, parts=100).speed_up > 2 * items_on(measured, 100).speed_up


def test_more_nodes_are_never_slower_and_never_better_than_their_cores() -> None:
    measured = Measured.read()
    points = [items_on(measured, nodes) for nodes in (1, 2, 10, 100)]

    assert [point.value for point in points] == sorted((point.value for point in points), reverse=True)
    assert all(point.speed_up <= point.nodes * CORES for point in points)


def test_executions_are_bound_by_the_runners_and_then_by_the_database() -> None:
    measured = replace(FREE, database_seconds=0.0005)

    alone, many = executions_on(measured, 1, 2), executions_on(measured, 10, 2)

    assert (alone.value, alone.bottleneck) == (2_000, "the runners' cores")
    assert (many.value, many.efficiency, many.bottleneck) == (4_000, 0.2, "the database's cores")


def test_what_runners_look_for_is_taken_off_the_database() -> None:
    measured = replace(FREE, database_seconds=0.0005, looking_seconds=0.01)

    point = executions_on(measured, 75, 2)

    assert point.value == pytest.approx((2 - 1.5) / 0.0005)
    assert "look" in point.bottleneck
