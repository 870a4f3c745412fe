"""Who reads which windows when: shuffled, split over nodes and workers without overlap, the same again on every run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def shard(
    length: int,
    seed: int,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    worker: int = 0,
    workers: int = 1,
    *,
    shuffle: bool = True,
    even: bool = False,
) -> npt.NDArray[np.int64]:
    """The windows of one reader in one epoch, in its order.

    The readers of an epoch together read every window once. Their shares differ by at most one window between ranks,
    and by at most one between the workers of a rank.

    Args:
        length: windows in all.
        seed, epoch: of the shuffling; the order depends on nothing else.
        rank, world: which process of how many. worker, workers: which part of its share.
        shuffle: otherwise in order.
        even: leave out up to `world - 1` windows, others in every epoch, so that ranks have equally many.

    Raises:
        ValueError: there is no such rank or worker.
    """
    if not (0 <= rank < world and 0 <= worker < workers):
        raise ValueError(f"rank {rank} of {world}, worker {worker} of {workers}: they count from 0")
    order = np.arange(length)
    if shuffle:
        order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch]))).permutation(length)
    if even:
        order = order[: length - length % world]
    return order[rank::world][worker::workers]


class ShardedSampler:
    """Numbers of windows for `torch.utils.data.DataLoader(sampler=...)`, on one of many ranks.

    A loader's worker processes need no share of their own: the loader deals batches out to them.

    Args:
        length: of the data set.
        seed: of the shuffling. rank, world: this process and how many there are.
        shuffle: otherwise in order. even: equally many for every rank, as distributed training wants.

    Attributes:
        epoch, position: what is read next, see `resume`.
    """

    def __init__(
        self, length: int, seed: int = 0, rank: int = 0, world: int = 1, *, shuffle: bool = True, even: bool = False
    ) -> None:
        self.epoch = self.position = 0
        self._length, self._seed, self._rank, self._world = length, seed, rank, world
        self._shuffle, self._even = shuffle, even
        self._share()  # refuses a rank that there is not

    def resume(self, epoch: int, position: int = 0) -> None:
        """Go on in an epoch after `position` windows of this rank: batches that were trained on times their size.

        Iterating starts there; the next epoch starts at 0 again, by another call.
        """
        self.epoch, self.position = epoch, position

    def __len__(self) -> int:
        """Windows left in this epoch."""
        kept = self._length - self._length % self._world if self._even else self._length
        return max(len(range(self._rank, kept, self._world)) - self.position, 0)

    def __iter__(self) -> Iterator[int]:
        # In blocks: a list of millions of int objects would need many times the memory of the array.
        share = self._share()[self.position :]
        for start in range(0, len(share), 65536):
            yield from share[start : start + 65536].tolist()

    def batches(self, size: int) -> Batches:
        """Whole batches: `DataLoader(dataset, batch_size=None, sampler=sampler.batches(64))` reads each in one go."""
        return Batches(self, size)

    def _share(self) -> npt.NDArray[np.int64]:
        return shard(
            self._length, self._seed, self.epoch, self._rank, self._world, shuffle=self._shuffle, even=self._even
        )


class Batches:
    """Lists of `size` windows; the last one of an epoch is left out when it is shorter."""

    def __init__(self, sampler: ShardedSampler, size: int) -> None:
        if size < 1:
            raise ValueError(f"batches of {size}, expected at least 1")
        self._sampler, self._size = sampler, size

    def __len__(self) -> int:
        return len(self._sampler) // self._size

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for window in self._sampler:
            batch.append(window)
            if len(batch) == self._size:
                yield batch
                batch = []
