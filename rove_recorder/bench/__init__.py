"""Measurements that `rove bench` runs: recording under full load."""
