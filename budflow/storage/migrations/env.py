"""Where Alembic enters: it runs the scripts in `versions` on the connection that budflow.storage.migrate hands over."""

from alembic import context

from budflow.storage.schema import metadata

# The caller has begun the transaction, holds the lock and commits: all scripts together or none.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
