"""`python -m tests.crash.faulty_server …` is `budflow …` that kills itself at a fault point (tests.crash.fault)."""

import os
from pathlib import Path

from budflow.cli.main import main
from budflow.storage.postgres.store import PostgresStore
from budflow.storage.sqlite.store import SqliteStore
from tests.crash.fault import FILE_VARIABLE, Detonator

if __name__ == "__main__":
    detonator = Detonator(Path(os.environ[FILE_VARIABLE]))
    for store in (SqliteStore, PostgresStore):
        detonator.wrap(store)
    detonator.wrap_key_file()
    main()
