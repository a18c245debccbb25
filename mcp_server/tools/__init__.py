"""The tools: one a file, named for the file, found by walking this package."""
