"""What a conversion may be told, and what it says when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from rove_core.config import ConfigModel, parse
from rove_core.errors import ConfigError


class Pauses(StrEnum):
    """What becomes of the rows that are not for training.

    SPLIT: they are left out, and an episode ends where they were. MASK: they stay, with `hil.keep` false.
    """

    SPLIT = "split"
    MASK = "mask"


class LeRobotVersion(StrEnum):
    """`codebase_version` of LeRobot."""

    V3_0 = "v3.0"
    V2_1 = "v2.1"


class Options(ConfigModel):
    """Options of a conversion; a format ignores those that it has no use for."""

    images: bool = Field(True, description="with the cameras' images")
    size: tuple[int, int] | None = Field(None, description="resize images to WIDTHxHEIGHT; none: as recorded")
    pauses: Pauses = Field(Pauses.SPLIT, description="split: episodes end at pauses; mask: keep them, marked")
    adaptation: bool = Field(True, description="with the adaptation rows of takeovers")
    valid_only: bool = Field(False, description="without rows whose observation was stale")
    version: LeRobotVersion = Field(LeRobotVersion.V3_0, description="of LeRobot's format")

    @field_validator("size", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        width, _, height = value.lower().partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise ValueError("expected WIDTHxHEIGHT, as in 224x224")
        return int(width), int(height)

    @field_validator("size")
    @classmethod
    def _even(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and (min(value) < 2 or value[0] % 2 or value[1] % 2):
            raise ValueError("width and height must be even and at least 2")
        return value


def parse_options(settings: Sequence[str]) -> Options:
    """Options from `NAME=VALUE` words, as in `size=224x224`.

    Raises:
        ConfigError: one line: what was seen, what is allowed.
    """
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"option '{setting}' is not NAME=VALUE", f"names are {', '.join(Options.model_fields)}")
        values[name] = value
    return parse(Options, values, "format options")


@dataclass(frozen=True, slots=True)
class Report:
    """What was converted.

    Attributes:
        path: the folder or file that was written.
        attempts: recorded episodes in it. episodes: episodes that the other format counts.
        rows: control steps in it. left_out: rows of those attempts that are not in it.
        skipped: attempts with nothing in it, and why.
    """

    path: Path
    attempts: int
    episodes: int
    rows: int
    left_out: int
    skipped: tuple[tuple[Path, str], ...] = ()

    def lines(self) -> list[str]:
        """For people: one line in all, and one per attempt that was skipped."""
        total = f"{self.attempts} attempts as {self.episodes} episodes, {self.rows} rows ({self.left_out} left out)"
        return [f"{self.path}: {total}", *(f"skipped {path}: {why}" for path, why in self.skipped)]
