"""Benchmarks: one file a case, run and reported by `make bench`."""
