"""The cases: each module has `TITLE` and an async `measure() -> list[Figure]`."""
