"""The worker: it runs inside of the sandbox, with the standard library and websockets only, one task at a time."""
