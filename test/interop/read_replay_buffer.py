"""Runs in the environment of diffusion_policy (zarr 2): opens a buffer as its ReplayBuffer does, gives an .npz file.

    read_replay_buffer.py BUFFER OUT

The checks are those of diffusion_policy/common/replay_buffer.py when it opens a group and when it copies one into
memory for training; the class itself is in no package index.
"""

from __future__ import annotations

import sys

import numpy as np
import zarr

assert zarr.__version__.startswith("2.")

with zarr.ZipStore(sys.argv[1], mode="r") as store:
    root = zarr.open(store, "r")
    assert "data" in root
    assert "meta" in root
    assert "episode_ends" in root["meta"]
    for value in root["data"].values():
        assert value.shape[0] == root["meta"]["episode_ends"][-1]

    # copy_from_store: chunks go into another store as they are.
    memory = zarr.MemoryStore()
    zarr.copy_store(source=store, dest=memory, source_path="/data", dest_path="/data", if_exists="replace")
    meta = {key: np.array(value) for key, value in root["meta"].items()}
    data = {key: np.array(value) for key, value in zarr.group(memory)["data"].items()}
    np.savez(sys.argv[2], **data, **{f"meta_{key}": value for key, value in meta.items()})
