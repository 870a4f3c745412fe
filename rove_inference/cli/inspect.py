"""`rove policy inspect`: what a bundle is, without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_inference.cli.arguments import EXIT_PROBLEMS, AsJson, BundleFolder

# Told in their own words; everything else in policy.yaml is shown as it stands there.
_TOLD = {"format", "name", "index", "robot", "control_hz", "horizon", "execute", "cameras", "state", "action", "files"}


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("inspect")(inspect)


def inspect(bundle: BundleFolder, as_json: AsJson = False) -> None:
    """What a bundle is: shapes, cameras, joints, files. Exit code 1 when a file is missing or was changed."""
    facts = describe(bundle)
    typer.echo(json.dumps(facts, indent=2) if as_json else _text(facts))
    if any(file["state"] != "ok" for file in facts["files"]):
        raise typer.Exit(EXIT_PROBLEMS)


def describe(folder: Path) -> dict[str, Any]:
    """The facts of a bundle, JSON-able.

    Raises:
        BundleError: no bundle there, or its `policy.yaml` cannot be used.
    """
    from rove_inference.bundle import SPEC_FILE, file_sha256, read_spec

    spec = read_spec(folder)
    sha256 = file_sha256(folder / SPEC_FILE)
    content = spec.model_dump(mode="json", exclude_defaults=True)
    return {
        "path": str(folder),
        "policy_id": f"{spec.name}@{sha256[:12]}",
        "index": spec.index,
        "sha256": sha256,
        "robot": spec.robot,
        "chunk": {
            "horizon": spec.horizon,
            "execute": spec.execute,
            "control_hz": spec.control_hz,
            "horizon_s": spec.horizon * spec.dt_s,
            "execute_s": spec.execute * spec.dt_s,
        },
        "cameras": [camera.model_dump(mode="json") for camera in spec.cameras],
        "state": _joints(spec.robot, spec.state.names),
        "action": _joints(spec.robot, spec.action.names),
        "settings": {key: value for key, value in content.items() if key not in _TOLD},
        "files": [_file(folder, file, expected) for file, expected in spec.files.items()],
    }


def _joints(robot: str, names: tuple[str, ...]) -> dict[str, Any]:
    """How many joints, and how many of each group where the robot is known here."""
    try:
        space = JointSpace.load(robot)
    except ConfigError:
        return {"joints": len(names), "groups": {}}
    known = {group: len(set(space.names[span]) & set(names)) for group, span in space.groups.items()}
    return {"joints": len(names), "groups": {group: count for group, count in known.items() if count}}


def _file(folder: Path, file: str, expected: str) -> dict[str, Any]:
    from rove_inference.bundle import file_sha256

    path = folder / file
    if not path.is_file():
        return {"file": file, "bytes": 0, "sha256": expected, "state": "missing"}
    state = "ok" if file_sha256(path) == expected else "changed"
    return {"file": file, "bytes": path.stat().st_size, "sha256": expected, "state": state}


def _text(facts: dict[str, Any]) -> str:
    chunk = facts["chunk"]
    lines = [
        f"{facts['policy_id']}  index {facts['index']}, for {facts['robot']}",
        f"  chunk: {chunk['horizon']} steps at {chunk['control_hz']:g} Hz ({chunk['horizon_s']:.2f} s), "
        f"{chunk['execute']} executed ({chunk['execute_s']:.2f} s)",
    ]
    lines += [f"  camera {c['name']}: {c['width']}x{c['height']}{_crop(c['crop'])}" for c in facts["cameras"]]
    for name in ("state", "action"):
        groups = ", ".join(f"{group} {count}" for group, count in facts[name]["groups"].items())
        lines.append(f"  {name}: {facts[name]['joints']} joints" + (f" ({groups})" if groups else ""))
    lines += [f"  {key}: {_value(value)}" for key, value in facts["settings"].items()]
    lines += [
        f"  {file['file']}: {file['bytes'] / 1e6:.3f} MB, SHA-256 {file['sha256'][:12]}... {file['state']}"
        for file in facts["files"]
    ]
    return "\n".join(lines)


def _crop(crop: dict[str, float]) -> str:
    if crop == {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}:
        return ""
    return f" of x {crop['left']:g} to {crop['right']:g}, y {crop['top']:g} to {crop['bottom']:g}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
