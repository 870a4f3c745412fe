"""Where a model runs, and on which cores of the CPU."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rove_core.errors import ConfigError

DEVICE = re.compile(r"(cpu|cuda|tensorrt)(?::(\d+))?")
CORES = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class Placement:
    """Device, threads and cores of a model.

    Attributes:
        device: `cpu`, `cuda` or `tensorrt` (ONNX only); `cuda:1` is the second GPU.
        threads: for one operator on the CPU; operators run one after another.
        cpus: cores that the model's threads may use; () leaves them all. The control loop needs one to itself.
    """

    device: str = "cpu"
    threads: int = 1
    cpus: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raises ConfigError for a device that is none, or a core that this process may not use."""
        match = DEVICE.fullmatch(self.device)
        if match is None or (match[1] == "cpu" and match[2]):
            raise ConfigError(f"device '{self.device}': expected cpu, cuda or tensorrt, a GPU's number after a colon")
        unknown = set(self.cpus) - os.sched_getaffinity(0) if self.cpus else set()
        if unknown:
            usable = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
            raise ConfigError(f"cpus {sorted(unknown)}: this process may use {usable}")

    @classmethod
    def parse(cls, device: str = "cpu", threads: int = 1, cpus: str = "") -> Placement:
        """From text: `cpus` as taskset writes them, "1,3-5"; "" leaves all. Raises ConfigError."""
        cores: list[int] = []
        for part in filter(None, cpus.split(",")):
            match = CORES.fullmatch(part.strip())
            if match is None:
                raise ConfigError(f"cpus '{cpus}': expected numbers and ranges of cores, as in 1,3-5")
            cores += range(int(match[1]), int(match[2] or match[1]) + 1)
        return cls(device, threads, tuple(cores))

    @property
    def kind(self) -> str:
        """`cpu`, `cuda` or `tensorrt`."""
        return self.device.partition(":")[0]

    @property
    def gpu(self) -> int:
        """Number of the GPU."""
        return int(self.device.partition(":")[2] or 0)

    def pin_thread(self) -> None:
        """Keep the calling thread, and those that it starts from now on, on `cpus`."""
        if self.cpus:
            os.sched_setaffinity(0, self.cpus)

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Threads that are started inside stay on `cpus`; the calling thread goes back where it was."""
        before = os.sched_getaffinity(0)
        self.pin_thread()
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)
