"""How many attempts a session wants from which progress stage.

A policy learns from where attempts begin: ROVE collects from several stages of a task, so that its later parts are
tried as often as its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rove_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """Attempts per start stage, worked off in this order. One stage with 0 attempts: as many as people like."""

    quotas: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, start_stages: str, start_stage: int = 0, attempts: int = 0) -> SessionPlan:
        """The plan of "0:5,2:3", five attempts from stage 0 and three from stage 2; of the other arguments for "".

        Raises:
            ConfigError: the text says something else, or the same stage twice.
        """
        if not start_stages:
            return cls(((start_stage, attempts),))
        quotas: list[tuple[int, int]] = []
        for item in start_stages.split(","):
            stage, _, count = item.partition(":")
            if not (stage.strip().isdecimal() and count.strip().isdecimal() and int(count) > 0):
                hint = "write STAGE:ATTEMPTS, as in 0:5,2:3 for five attempts from stage 0 and three from stage 2"
                raise ConfigError(f"start stages '{start_stages}': cannot read '{item}'", hint)
            quotas.append((int(stage), int(count)))
        if len(dict(quotas)) < len(quotas):
            raise ConfigError(f"start stages '{start_stages}': a stage stands there twice", "add its attempts up")
        return cls(tuple(quotas))

    @property
    def attempts(self) -> int:
        """How many attempts that is in all; 0 when nobody knows."""
        return sum(count for _, count in self.quotas)

    def next_stage(self, done: Mapping[int, int]) -> int:
        """The stage that the next attempt starts from, when `done` attempts have been made from each stage."""
        return next((stage for stage, count in self.quotas if done.get(stage, 0) < count), self.quotas[-1][0])

    def counted(self, done: Mapping[int, int]) -> int:
        """How many of the attempts that were wanted have been made."""
        return sum(min(done.get(stage, 0), count) for stage, count in self.quotas)

    def complete(self, done: Mapping[int, int]) -> bool:
        """Whether every attempt that was wanted has been made; never when nobody knows how many."""
        return 0 < self.attempts <= self.counted(done)

    def shown(self, stage: int, done: Mapping[int, int]) -> str:
        """The quota of `stage` for people: "stage 2, 1 of 3 done"; "" where there is only one stage."""
        if len(self.quotas) == 1:
            return ""
        return f"stage {stage}, {done.get(stage, 0)} of {dict(self.quotas).get(stage, 0)} done"
