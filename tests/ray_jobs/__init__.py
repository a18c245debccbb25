"""Ray reads its settings when it is imported, and these tests import it too."""

import ray_jobs  # noqa: F401 - see the line above
