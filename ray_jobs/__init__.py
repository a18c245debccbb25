"""Executions on Ray. Nothing else imports ray, and this package is imported before it: ray reads its settings then."""

import os

# Read by ray here and in every process it starts. What the environment has already stays.
for _name, _value in {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # The default warns about itself.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # Under `uv run` ray would install everything again for its workers.
}.items():
    os.environ.setdefault(_name, _value)
