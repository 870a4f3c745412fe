"""The shape of the tree, read off the syntax: who may import whom, and where ROS may be."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "rove_core": ROOT / "rove_core",
    "rove_hil": ROOT / "rove_hil",
    "rove_inference": ROOT / "rove_inference",
    "rove_recorder": ROOT / "rove_recorder",
    "rove_description": ROOT / "ros2_ws/src/rove_description/rove_description",
    "rove_sim": ROOT / "ros2_ws/src/rove_sim/rove_sim",
    "rove_trainer": ROOT / "trainer/rove_trainer",
}
# The three parts meet on topics; the shared vocabulary knows none of them.
MAY_IMPORT = {
    "rove_core": set(),
    "rove_hil": {"rove_core", "rove_description"},
    "rove_inference": {"rove_core"},
    "rove_recorder": {"rove_core"},
    "rove_description": {"rove_core"},
    "rove_sim": {"rove_core", "rove_description", "rove_hil"},
    # Reads episodes, writes bundles; what moves the robot is none of its business.
    "rove_trainer": {"rove_core", "rove_recorder", "rove_inference"},
}
ROS = re.compile(r"(rclpy|launch|launch_ros|ament_index_python|tf2_ros|\w+_msgs|\w+_srvs|\w+_interfaces)")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every import, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def modules(package: str) -> list[Path]:
    return sorted(SOURCES[package].rglob("*.py"))


@pytest.mark.parametrize("package", SOURCES)
def test_ros_is_imported_only_under_ros_folders(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        if "ros" not in path.relative_to(SOURCES[package]).parts[:-1]
        for line, name in imports(path)
        if ROS.fullmatch(name)
    ]
    assert modules(package)
    assert wrong == []


@pytest.mark.parametrize("package", SOURCES)
def test_packages_import_only_along_the_arrows(package: str) -> None:
    others = SOURCES.keys() - MAY_IMPORT[package] - {package}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        for line, name in imports(path)
        if name in others
    ]
    assert wrong == []


@pytest.mark.parametrize("package", SOURCES)
def test_nothing_unpickles(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        for line, name in imports(path)
        if name in {"pickle", "dill", "cloudpickle", "shelve", "marshal"}
    ]
    assert found == []


def test_importing_the_cores_does_not_load_ros() -> None:
    # Once in a fresh interpreter, for what the syntax does not show.
    import subprocess

    code = (
        "import sys, rove_core.joint_space, rove_hil, rove_inference, rove_recorder; sys.exit('rclpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("folder", ["test", "launch"])
def test_folders_that_are_not_packages_have_no_init(folder: str) -> None:
    assert list((ROOT / folder).rglob("__init__.py")) == []


@pytest.mark.parametrize("package", SOURCES)
def test_every_folder_with_modules_is_a_package(package: str) -> None:
    # One without __init__.py works from a checkout and is left out of every installation.
    folders = {path.parent for path in modules(package)}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_module_is_named_after_nothing() -> None:
    vague = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert [str(path) for package in SOURCES for path in modules(package) if path.name in vague] == []
