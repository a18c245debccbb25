"""The use cases: one a file, called by every door with a Principal."""
