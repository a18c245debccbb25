"""Which runtime environment a node type has: the one that the operator gives it, and no other."""

from dataclasses import replace

import pytest

from budflow.nodes.registry import build
from budflow.runtime_envs import RuntimeEnv
from budflow.settings import Settings
from ray_jobs.segment_policy import RuntimeEnvUntrusted, SegmentPolicy

REGISTRY = build()
SORT = next(spec for spec in REGISTRY.types() if spec.name == "data.sort")
ML = RuntimeEnv(types=("data.sort",), packages=("polars==1.9.0",), env_vars={"OMP_NUM_THREADS": "1"}, build_seconds=60)
POLICY = SegmentPolicy.of(Settings(ray_runtime_envs={"ml": ML}, ray_scale_up_seconds=5))


def test_a_type_has_the_environment_that_names_it() -> None:
    assert POLICY.scale_up_seconds == 5
    assert POLICY.runtime_env_of(SORT) == "ml"
    assert POLICY.runtime_env_of(replace(SORT, runtime_env="ml")) == "ml"
    assert POLICY.runtime_env_of(replace(SORT, name="data.other")) is None


def test_a_type_that_needs_another_than_it_is_given_does_not_run() -> None:
    with pytest.raises(RuntimeEnvUntrusted, match="needs the runtime environment `gpu`, and is given `ml`"):
        POLICY.runtime_env_of(replace(SORT, runtime_env="gpu"))
    with pytest.raises(RuntimeEnvUntrusted, match="needs the runtime environment `ml`"):
        POLICY.runtime_env_of(replace(SORT, name="data.other", runtime_env="ml"))


def test_ray_is_told_in_its_own_words() -> None:
    assert POLICY.options("ml") == {
        "runtime_env": {
            "uv": {"packages": ["polars==1.9.0"]},
            "env_vars": {"OMP_NUM_THREADS": "1"},
            "config": {"setup_timeout_seconds": 60},
        }
    }
    assert POLICY.options(None) == {}
