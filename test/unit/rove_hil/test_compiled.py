"""Machine code is made before the loop, kept between processes where that can be, and never stale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_hil.command import compiled as module
from rove_hil.command.compiled import compiled, scalar
from rove_hil.joint_filter import JointFilter


@scalar
def twice(x: float) -> float:
    return 2 * x


def add_twice(values: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(values)):
        out[i] += twice(values[i])


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As a process that has compiled nothing yet, with an empty cache at the path returned."""
    monkeypatch.setattr(module, "_made", {})
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def result() -> list[float]:
    out = np.ones(2)
    compiled(add_twice, out, out)(np.array([1.0, 2.0]), out)
    return out.tolist()


def test_a_compiled_function_does_what_it_says_and_refuses_other_types(fresh: Path) -> None:
    assert result() == [3.0, 5.0]
    function = compiled(add_twice, np.ones(2), np.ones(2))
    with pytest.raises(TypeError):
        function(np.ones(2, dtype=np.float32), np.ones(2))


def test_it_is_kept_for_the_next_process_for_this_user_only(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result()
    (folder,) = (fresh / "rove_hil").iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb*")}
    assert kept
    monkeypatch.setattr(module, "_made", {})
    assert result() == [3.0, 5.0]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb*")} == kept


def test_damaged_files_are_made_anew(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result()
    for path in (fresh / "rove_hil").rglob("*.nb*"):  # as after a power cut
        path.write_bytes(b"")
    monkeypatch.setattr(module, "_made", {})
    assert result() == [3.0, 5.0]


def test_it_works_where_nothing_can_be_written(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    blocked = tmp_path_factory.mktemp("blocked") / "file"
    blocked.write_text("not a folder")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(blocked))
    assert result() == [3.0, 5.0]


def test_a_change_in_any_source_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    source = tmp_path / "law.py"
    source.write_text("GAIN = 1")
    before = module._cache_folder({str(source)})
    source.write_text("GAIN = 2")
    assert module._cache_folder({str(source)}) != before


def test_it_runs_as_python_for_debugging_and_does_the_same() -> None:
    space = JointSpace.load("iron_r01")
    joints = JointFilter(space, 0.005)
    joints.reset(space.home)
    positions = [joints.step(space.home + 0.1).position for _ in range(30)]
    code = (
        "from rove_core.joint_space import JointSpace; from rove_hil.joint_filter import JointFilter\n"
        "space = JointSpace.load('iron_r01'); joints = JointFilter(space, 0.005); joints.reset(space.home)\n"
        "for _ in range(30): output = joints.step(space.home + 0.1)\n"
        "print(output.position.tobytes().hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(np.frombuffer(bytes.fromhex(run.stdout)), positions[-1], rtol=0, atol=1e-12)


def test_programs_that_do_not_filter_do_not_load_numba() -> None:
    code = (
        "import sys, rove_hil.cli.main, rove_hil.session.deployment, rove_hil.supervision.supervisor_core\n"
        "import rove_hil.retarget, rove_hil.operator.mocap\n"
        "import rove_inference, rove_recorder; sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
