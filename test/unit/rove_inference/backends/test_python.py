"""Models of other packages, declared as an installed package declares them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import BundleError
from rove_core.joint_space import JointSpace
from rove_inference.loading import load_policy
from rove_inference.observation import Observation

Edit = Callable[..., Path]

PACKAGE = '''
import numpy as np
from rove_inference.backends import TensorInfo

class Hold:
    """Stays where it is."""
    inputs = {"state": TensorInfo((1, 50), np.dtype(np.float32)),
              "image_head": TensorInfo((1, 3, 24, 32), np.dtype(np.uint8))}
    outputs = {"actions": TensorInfo((1, 50, 50), np.dtype(np.float32))}
    def run(self, tensors):
        return {"actions": np.repeat(tensors["state"][:, None], 50, axis=1)}

class Mute:
    inputs = outputs = {}

class Vague(Hold):
    outputs = {"actions": (1, 50, 50)}

def hold(folder, placement):
    assert (folder / "policy.yaml").is_file() and placement.device == "cpu"
    return Hold()

def broken(folder, placement):
    raise OSError("no weights at /nowhere\\nsecond line")

mute = lambda folder, placement: Mute()
vague = lambda folder, placement: Vague()
'''
DECLARED = """[rove.backends]
hold = other_package:hold
broken = other_package:broken
mute = other_package:mute
vague = other_package:vague
"""


@pytest.fixture(autouse=True)
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package, as importlib.metadata sees one."""
    site = tmp_path / "site"
    info = site / "other_package-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "other_package.py").write_text(PACKAGE, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other_package\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(DECLARED, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("other_package", None)


@pytest.mark.parametrize("name", ["hold", "other_package:hold"])
def test_a_declared_model_moves_the_robot(edited: Edit, space: JointSpace, name: str) -> None:
    policy = load_policy(edited(backend="python", model="", entry_point=name), space)
    picture = np.zeros((48, 64, 3), np.uint8)
    prediction = policy.predict(Observation(0, 0, space.home, {"head": picture}))
    np.testing.assert_allclose(prediction.positions, np.repeat(space.home[None], 50, axis=0), atol=1e-6)


@pytest.mark.parametrize("name", ["os:system", "other_package:Hold", "holding"])
def test_nothing_is_called_that_no_package_declares(edited: Edit, space: JointSpace, name: str) -> None:
    with pytest.raises(BundleError, match=f"no installed package declares entry point '{name}'") as caught:
        load_policy(edited(backend="python", model="", entry_point=name), space)
    assert "entry-points" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken", r"entry point 'broken' \(other_package:broken\): OSError: no weights at /nowhere$"),
        ("mute", "Mute has no method `run`"),
        ("vague", r"output 'actions' is declared as \(1, 50, 50\), expected TensorInfo"),
    ],
)
def test_what_is_wrong_with_a_model_is_one_line(edited: Edit, space: JointSpace, name: str, text: str) -> None:
    with pytest.raises(BundleError, match=text):
        load_policy(edited(backend="python", model="", entry_point=name), space)
