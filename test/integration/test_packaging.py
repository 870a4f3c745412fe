"""The tree as pip and colcon see it: package types, the ament index, executables, versions, requirements."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points, requires
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rove_core import __version__

ROOT = Path(__file__).parents[2]
PREFIX = Path(sys.prefix)
PACKAGES = {
    "rove_description": ("ros.ament_python", ROOT / "ros2_ws/src/rove_description"),
    "rove_hil": ("ros.ament_python", ROOT),
    "rove_msgs": ("ros.ament_cmake", ROOT / "ros2_ws/src/rove_msgs"),
    "rove_sim": ("ros.ament_python", ROOT / "ros2_ws/src/rove_sim"),
}
PYTHON_PACKAGES = [name for name, (kind, _) in PACKAGES.items() if kind == "ros.ament_python"]
NODES = {
    "rove_hil": {
        "policy_node",
        "supervisor_node",
        "retarget_node",
        "filter_node",
        "recorder_node",
        "keyboard_node",
        "buttons_node",
    },
    "rove_sim": {"sim_node", "scripted_operator", "scripted_supervisor"},
    "rove_description": set(),
}
REQUIREMENT = re.compile(r"^[A-Za-z0-9][\w.-]*")


def colcon(*arguments: str | Path) -> str:
    """Run colcon with this environment as the ROS installation."""
    environment = {**os.environ, "AMENT_PREFIX_PATH": str(PREFIX), "CMAKE_PREFIX_PATH": str(PREFIX)}
    environment["PATH"] = f"{PREFIX / 'bin'}:{environment['PATH']}"
    command = [str(PREFIX / "bin/colcon"), *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(extra: str | None) -> set[str]:
    """Distributions that rove_hil asks for without an extra (None), or for one."""
    lines = requires("rove_hil") or []
    wanted = [line for line in lines if ("extra ==" not in line if extra is None else f'extra == "{extra}"' in line)]
    return {canonical(match[0]) for line in wanted if (match := REQUIREMENT.match(line))}


def listed(name: str) -> set[str]:
    """Distributions in one of the files under requirements/."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {canonical(match[0]) for line in lines if (match := REQUIREMENT.match(line))}


def test_colcon_knows_every_package_as_what_it_is(tmp_path: Path) -> None:
    # A malformed package.xml would fall back to plain `python` without a word.
    lines = colcon("--log-base", tmp_path, "list", "--base-paths", ".", "ros2_ws/src").splitlines()
    found = {name: kind.strip("()") for name, _, kind in (line.split("\t") for line in lines)}
    assert found == {name: kind for name, (kind, _) in PACKAGES.items()}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install folder of `colcon build`, for the Python packages."""
    base = tmp_path_factory.mktemp("colcon")
    # The messages are in this environment; building them again would take most of a minute. colcon looks for this file.
    built = base / "install/rove_msgs/share/rove_msgs/package.sh"
    built.parent.mkdir(parents=True)
    built.touch()
    colcon(
        "--log-base", base / "log", "build", "--base-paths", ".", "ros2_ws/src", "--build-base", base / "build",
        "--install-base", base / "install", "--packages-select", *PYTHON_PACKAGES,
    )  # fmt: skip
    return base / "install"


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_colcon_installs_executables_where_ros2_run_looks(workspace: Path, package: str) -> None:
    folder = workspace / package / "lib" / package
    built = {path.name for path in folder.glob("*")} - {"rove"}
    assert built == NODES[package]
    # The real ones, not the shims for pip: those would look for a bin/ that is not there.
    assert all("entry" in path.read_text(encoding="utf-8") for path in folder.glob("*"))


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_colcon_installs_every_file_of_the_packages(workspace: Path, package: str) -> None:
    source = PACKAGES[package][1]
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "rove_*"],
        cwd=source, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    wanted = {name for name in tracked if (source / name).is_file()}
    installed = next((workspace / package).glob("lib/python*/site-packages"))
    assert wanted
    assert {name for name in wanted if not (installed / name).is_file()} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_the_ament_index_of_the_environment_knows_the_package(package: str) -> None:
    assert (PREFIX / "share/ament_index/resource_index/packages" / package).is_file()
    assert (PREFIX / "share" / package / "package.xml").is_file()


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_pip_installs_executables_where_ros2_run_looks(package: str) -> None:
    folder = PREFIX / "lib" / package
    assert {path.name for path in folder.glob("*")} == NODES[package]
    for node in NODES[package]:
        assert os.access(folder / node, os.X_OK)
        assert (PREFIX / "bin" / node).is_file()


def test_a_shim_runs_the_executable_in_bin(tmp_path: Path) -> None:
    for folder in ("bin", "lib/rove_hil"):
        (tmp_path / folder).mkdir(parents=True)
    real, shim = tmp_path / "bin/filter_node", tmp_path / "lib/rove_hil/filter_node"
    real.write_text('#!/bin/sh\necho "real $*"\n', encoding="utf-8")
    shim.write_text((ROOT / "shims/filter_node").read_text(encoding="utf-8"), encoding="utf-8")
    real.chmod(0o755)
    shim.chmod(0o755)
    ran = subprocess.run([shim, "--ros-args", "-p", "robot:=x y"], capture_output=True, text=True, check=True)
    assert ran.stdout == "real --ros-args -p robot:=x y\n"


def test_launch_files_are_in_the_share_folder() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "launch").glob("*.launch.py")}
    shared = PREFIX / "share/rove_hil/launch"
    assert {path.name: path.read_text(encoding="utf-8") for path in shared.glob("*.launch.py")} == sources
    assert "deploy.launch.py" in sources


@pytest.mark.parametrize("group", ["rove.commands", "rove.benchmarks", "rove.playbacks", "rove.session_summaries"])
def test_entry_points_can_be_loaded(group: str) -> None:
    points = entry_points(group=group)
    assert points
    assert all(callable(point.load()) for point in points)


@pytest.mark.parametrize("package", PACKAGES)
def test_versions_agree(package: str) -> None:
    tree = ElementTree.parse(PACKAGES[package][1] / "package.xml")  # noqa: S314 - our own file
    assert tree.findtext("version") == __version__
    assert tree.findtext("name") == package


def test_requirement_files_ask_for_what_setup_py_asks_for() -> None:
    assert listed("sim") == set().union(*(required(extra) for extra in (None, "cpu", "bench", "remote", "ros-wheels")))
    assert listed("dev") == required("dev")
    assert listed("torch") == required("torch")
    assert listed("actor") == required("actor")
    assert listed("robot") == required(None) | required("gpu")


def test_the_messages_are_built_with_what_their_wheel_asks_for() -> None:
    text = (ROOT / "ros2_ws/src/rove_msgs/pyproject.toml").read_text(encoding="utf-8")
    wanted = {canonical(match) for match in re.findall(r'^  "([\w-]+)', text, flags=re.MULTILINE)}
    assert listed("build") == wanted | {"cmake", "ninja"}


def test_everything_asked_for_is_pinned() -> None:
    lines = (ROOT / "requirements/lock.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonical(line.split("==")[0]) for line in lines if re.fullmatch(r"[\w.-]+==[\w.]+", line)}
    assert [line for line in lines if line and not line.startswith("#") and "==" not in line] == []
    for name in ("build", "sim", "dev", "torch", "actor", "robot"):
        assert listed(name) - pinned == set()


def test_nothing_forces_a_build_of_onnx_runtime_or_lerobot() -> None:
    assert not required(None) & {"onnxruntime", "onnxruntime-gpu", "lerobot", "torch"}
    assert required("cpu") == {"onnxruntime"}
    assert required("gpu") == {"onnxruntime-gpu"}
