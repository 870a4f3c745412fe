"""Arguments that several sub-commands of `rove policy` take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BundleFolder = Annotated[Path, typer.Argument(help="Policy bundle: a folder with policy.yaml.", show_default=False)]
Robot = Annotated[str, typer.Option(help="Robot of rove_core/robots, or a YAML file.")]
Device = Annotated[str, typer.Option(help="Where the model runs: cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads for one operator of the model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_ROBOT = "iron_r01"

EXIT_PROBLEMS = 1  # the command did its work, and what it looked at is not sound
