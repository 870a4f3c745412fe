"""Every window is read once in an epoch, whoever reads it, and again in the same order."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_recorder.windows.sampler import ShardedSampler, shard


@given(st.integers(0, 300), st.integers(0, 9), st.integers(0, 9), st.integers(1, 7), st.integers(1, 4))
def test_readers_share_the_windows_without_overlap(
    length: int, seed: int, epoch: int, world: int, workers: int
) -> None:
    shares = [
        shard(length, seed, epoch, rank, world, worker, workers) for rank in range(world) for worker in range(workers)
    ]
    assert sorted(np.concatenate(shares).tolist()) == list(range(length))
    ranks = [sum(len(share) for share in shares[rank * workers : (rank + 1) * workers]) for rank in range(world)]
    assert max(ranks) - min(ranks) <= 1


@given(st.integers(0, 300), st.integers(0, 9), st.integers(1, 7))
def test_even_shares_are_equal_and_leave_out_less_than_one_round(length: int, seed: int, world: int) -> None:
    shares = [shard(length, seed, 0, rank, world, even=True) for rank in range(world)]
    assert {len(share) for share in shares} == {length // world}
    assert len(set(np.concatenate(shares).tolist())) == length - length % world


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    first = shard(1000, 1, 2).tolist()
    assert shard(1000, 1, 2).tolist() == first
    assert shard(1000, 1, 3).tolist() != first
    assert shard(1000, 2, 2).tolist() != first
    assert first != sorted(first)
    assert shard(1000, 1, 2, shuffle=False).tolist() == list(range(1000))
    merged = np.empty(1000, np.int64)
    for rank in range(3):
        merged[rank::3] = shard(1000, 1, 2, rank, 3)
    assert merged.tolist() == first


@given(st.integers(0, 200), st.integers(1, 4), st.integers(0, 60))
def test_an_interrupted_epoch_goes_on_where_it_stopped(length: int, world: int, position: int) -> None:
    sampler = ShardedSampler(length, seed=5, rank=world - 1, world=world)
    sampler.resume(7)
    whole = list(sampler)
    assert len(sampler) == len(whole)
    sampler.resume(7, position)
    assert list(sampler) == whole[position:]
    assert len(sampler) == len(whole[position:])


def test_batches_are_whole() -> None:
    sampler = ShardedSampler(10, seed=3)
    batches = sampler.batches(4)
    assert len(batches) == 2
    assert [window for batch in batches for window in batch] == list(islice(sampler, 8))


def test_a_rank_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="rank 2 of 2"):
        ShardedSampler(10, rank=2, world=2)
    with pytest.raises(ValueError, match="batches of 0"):
        ShardedSampler(10).batches(0)
