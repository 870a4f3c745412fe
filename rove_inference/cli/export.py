"""`rove policy export` and `rove policy random`: bundles from bundles, and bundles to measure with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import BundleError, ConfigError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import CameraSpec
from rove_inference.cli.arguments import DEFAULT_ROBOT, BundleFolder, Robot

Target = Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("export")(export)
    group.command("random")(random)


def export(bundle: BundleFolder, target: Target, robot: Robot = DEFAULT_ROBOT) -> None:
    """Make a bundle whose torch networks are ONNX files, and check that they answer alike."""
    try:
        from rove_inference.export import export_bundle
    except ModuleNotFoundError as error:
        raise _missing(error, "torch") from None
    for exported in export_bundle(bundle, target, JointSpace.load(robot)):
        size = f"{exported.bytes / 1e6:.1f} MB"
        typer.echo(f"{exported.model}: {size}, differs from torch by {exported.difference:.1e} of its largest value")
    typer.echo(f"{target} is ready")


def random(
    target: Target,
    size: Annotated[str, typer.Option(help="tiny, or 4b: 10 GB, as large as the real one.")] = "tiny",
    camera: Annotated[
        list[str] | None, typer.Option(help="NAME:WIDTHxHEIGHT, again for each camera.", show_default="head:256x256")
    ] = None,
    robot: Robot = DEFAULT_ROBOT,
) -> None:
    """Make a ROVE actor with random weights: meaningless actions, real shapes and timing."""
    if size not in ("tiny", "4b"):
        raise ConfigError(f"size '{size}': expected tiny or 4b")
    try:
        from rove_inference.actor.random_init import write_random_actor
    except ModuleNotFoundError as error:
        raise _missing(error, "actor") from None
    cameras = [_camera(text) for text in camera or ["head:256x256"]]
    write_random_actor(target, JointSpace.load(robot), cameras, "4b" if size == "4b" else "tiny")
    typer.echo(f"{target} is ready")


def _missing(error: ModuleNotFoundError, extra: str) -> BundleError:
    return BundleError(f"this command needs {error.name}, which is not installed", f"pip install 'rove_hil[{extra}]'")


def _camera(text: str) -> CameraSpec:
    match = re.fullmatch(r"(\w+):(\d+)x(\d+)", text)
    if match is None:
        raise ConfigError(f"camera '{text}': expected NAME:WIDTHxHEIGHT, as in head:256x256")
    return CameraSpec(name=match[1], width=int(match[2]), height=int(match[3]))
