"""Benchmarks behind `rove bench`: each module has `run(quick)`, which returns figures with units in their names."""
