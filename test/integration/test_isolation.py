"""A policy in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

from rove_core.errors import BundleError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.backends.placement import Placement
from rove_inference.bundle import load_bundle, read_bundle
from rove_inference.isolation import IsolatedPolicy, isolate, load_for_robot, needs_own_process
from rove_inference.loading import load_policy
from rove_inference.observation import Observation

TINY = Path(__file__).parents[1] / "data" / "bundles" / "tiny"
SPACE = JointSpace.load("iron_r01")
DEADLINE_S = 20.0


def seeing(value: int) -> Observation:
    return Observation(5, 5, SPACE.home, {"head": np.full((48, 64, 3), value, np.uint8)})


def wait(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children() -> list[int]:
    """Processes that this one has started and that run."""
    lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    return [int(pid) for text in lists for pid in text.split() if is_alive(int(pid))]


def has_ended(policy: IsolatedPolicy) -> bool:
    try:
        policy.process.check()
    except PolicyError:
        return True
    return False


@pytest.fixture
def isolated() -> Iterator[IsolatedPolicy]:
    policy = isolate(load_bundle(TINY, SPACE), SPACE, "iron_r01", Placement())
    yield policy
    policy.close()


def test_it_answers_as_the_same_policy_does_inside(isolated: IsolatedPolicy) -> None:
    inside = load_policy(TINY, SPACE)
    assert isolated.bundle.policy_id == inside.bundle.policy_id
    np.testing.assert_array_equal(isolated.predict(seeing(200)).positions, inside.predict(seeing(200)).positions)
    with pytest.raises(PolicyError, match="nan"):
        isolated.predict(seeing(0))


def test_when_its_process_is_killed_there_is_one_line_and_a_new_one_can_be_started(isolated: IsolatedPolicy) -> None:
    os.kill(isolated.process.pid, signal.SIGKILL)
    wait(lambda: has_ended(isolated), "its end")
    with pytest.raises(PolicyError, match="ended with signal 9"):
        isolated.predict(seeing(200))
    again = isolate(load_bundle(TINY, SPACE), SPACE, "iron_r01", Placement())
    again.predict(seeing(200))
    again.close()
    assert not is_alive(again.process.pid)


def test_a_bundle_that_cannot_be_used_there_is_refused_in_the_words_of_that_process(tmp_path: Path) -> None:
    bundle = load_bundle(shutil.copytree(TINY, tmp_path / "broken"), SPACE)
    (tmp_path / "broken/model.onnx").write_bytes(b"changed after the check")
    with pytest.raises(BundleError, match="SHA-256"):
        isolate(bundle, SPACE, "iron_r01", Placement())


def test_when_the_process_is_killed_while_it_loads_whoever_waits_hears_of_it(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TINY, tmp_path / "slow"))
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")  # loading waits for somebody to write
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(isolate, read_bundle(folder, SPACE), SPACE, "iron_r01", Placement())
        wait(children, "the process")
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(PolicyError, match="ended with signal 9"):
            loading.result(DEADLINE_S)


def test_it_ends_when_the_process_that_started_it_is_killed() -> None:
    code = (
        "import sys, test_isolation as t; p = t.isolate(t.load_bundle(t.TINY, t.SPACE), t.SPACE, 'iron_r01', "
        "t.Placement()); print(p.process.pid, flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=pipe,
        stdout=pipe,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    parent.communicate()
    wait(lambda: not is_alive(pid), "the end of the policy's process")


def test_torch_and_gpus_get_a_process_and_onnx_on_the_cpu_does_not(tmp_path: Path) -> None:
    spec = load_bundle(TINY, SPACE).spec
    assert not needs_own_process(spec, Placement())
    assert needs_own_process(spec, Placement("cuda"))
    folder = shutil.copytree(TINY, tmp_path / "torch")
    content = yaml.safe_load((folder / "policy.yaml").read_text()) | {
        "backend": "python",
        "entry_point": "x",
        "model": "",
    }
    (folder / "policy.yaml").write_text(yaml.safe_dump(content))
    assert needs_own_process(load_bundle(folder, SPACE).spec, Placement())
    assert not isinstance(load_for_robot(TINY, SPACE, "iron_r01"), IsolatedPolicy)
