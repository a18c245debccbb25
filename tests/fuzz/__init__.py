"""Fuzzing guided by coverage, with atheris: `make fuzz`."""
