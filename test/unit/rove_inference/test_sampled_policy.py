"""Bundles that sample their chunk, through the real ONNX Runtime, against what their networks were made for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from rove_core.errors import BundleError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.backends import Array, TensorInfo
from rove_inference.backends.onnx import OnnxBackend
from rove_inference.bundle import load_bundle
from rove_inference.decoders.prefix import Prefix
from rove_inference.decoders.spec import AdapterSpec
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.query import Query

MAKER = Path(__file__).parents[2] / "data" / "bundles" / "make_sampled.py"


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sampled", MAKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _maker()
GOOD = Query(condition="good", seed=5)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, space: JointSpace) -> Path:
    root = tmp_path_factory.mktemp("bundles")
    make.flow(root / "flow", space)
    make.consistency(root / "plain", space)
    make.consistency(root / "new_adapter", space, adapter_gain=0.0)
    make.consistency(root / "adapter", space, adapter_gain=1.0)
    make.diffusion(root / "diffusion", space)
    return root


class Asking:
    """An adapter that does nothing and remembers the conditions it was told."""

    def __init__(self, dim: int) -> None:
        real, number = np.dtype(np.float32), np.dtype(np.int64)
        self.inputs = {"condition": TensorInfo((None,), number)}
        self.outputs = {
            "residual": TensorInfo((None, make.HORIZON, dim), real),
            "gate": TensorInfo((None, make.HORIZON), real),
        }
        self.told: list[int] = []

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        self.told += tensors["condition"].tolist()
        return {name: np.zeros([size or 1 for size in info.shape], np.float32) for name, info in self.outputs.items()}


def seen(space: JointSpace, brightness: int = 255) -> Observation:
    return Observation(0, 0, space.home, {"head": np.full((12, 16, 3), brightness, np.uint8)})


def expected(space: JointSpace, seed: int, shift: float = 0.0) -> np.ndarray:
    """Goal plus spread times the seed's noise, where the limits allow it."""
    noise = np.random.default_rng(seed).standard_normal((make.HORIZON, space.dim), np.float32)
    return space.clip(space.home + make.STD_RAD * (1.0 + shift + make.SPREAD * noise))


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_flow_with_guidance_reaches_the_gaussian_between_its_conditions(
    bundles: Path, space: JointSpace, beta: float
) -> None:
    prediction = load_policy(bundles / "flow", space).predict(seen(space), replace(GOOD, cfg_beta=beta))
    shift = make.SHIFT["bad"] + beta * (make.SHIFT["good"] - make.SHIFT["bad"])
    np.testing.assert_allclose(prediction.positions, expected(space, 5, shift), atol=0.01)
    assert prediction.decoder_steps == 20  # ten of the midpoint rule


def test_beta_one_is_the_condition_alone_and_beta_zero_the_negative_alone(bundles: Path, space: JointSpace) -> None:
    policy = load_policy(bundles / "flow", space)
    one = policy.predict(seen(space), GOOD)
    np.testing.assert_array_equal(
        policy.predict(seen(space), Query(condition="bad", seed=5)).positions,
        policy.predict(seen(space), replace(GOOD, cfg_beta=0.0)).positions,
    )
    two = policy.predict(seen(space), replace(GOOD, cfg_beta=1.0 + 1e-6))
    np.testing.assert_allclose(one.positions, two.positions, atol=1e-5)


@pytest.mark.parametrize("name", ["flow", "plain", "adapter", "diffusion"])
def test_the_same_seed_is_the_same_chunk_and_another_is_another(bundles: Path, space: JointSpace, name: str) -> None:
    policy = load_policy(bundles / name, space)
    query = Query(condition=policy.bundle.spec.condition, seed=1)
    first, again, other = (policy.predict(seen(space), replace(query, seed=seed)).positions for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert np.abs(first - other).max() > 0.01


def test_consistency_answers_in_one_evaluation(bundles: Path, space: JointSpace) -> None:
    prediction = load_policy(bundles / "plain", space).predict(seen(space), Query(seed=5))
    assert prediction.decoder_steps == 1
    assert prediction.base.size == prediction.residual.size == prediction.gate.size == 0
    centre = space.clip(space.home + make.STD_RAD)
    assert np.abs(prediction.positions - centre).mean() < 0.05


def test_an_adapter_before_its_first_training_step_is_bit_exact_with_the_base(bundles: Path, space: JointSpace) -> None:
    base = load_policy(bundles / "plain", space).predict(seen(space), Query(seed=5))
    adapted = load_policy(bundles / "new_adapter", space).predict(seen(space), Query(seed=5))
    assert adapted.positions.tobytes() == base.positions.tobytes()
    assert not adapted.residual.any()


def test_base_residual_and_gate_add_up_to_the_chunk(bundles: Path, space: JointSpace) -> None:
    prediction = load_policy(bundles / "adapter", space).predict(seen(space), Query(seed=5))
    made = prediction.base + prediction.gate[:, None] * prediction.residual
    np.testing.assert_allclose(space.clip(made), prediction.positions, atol=1e-6)
    normalised = (prediction.base - space.home) / make.STD_RAD
    np.testing.assert_allclose(prediction.residual, 0.15 * make.STD_RAD * np.tanh(normalised), atol=1e-6)
    np.testing.assert_allclose(prediction.gate, 1 / (1 + np.exp(-normalised.mean(axis=1))), atol=1e-5)
    assert 0 < np.abs(prediction.residual).max() <= 0.15 * make.STD_RAD


def test_an_adapter_under_guidance_sees_the_condition_and_not_the_negative(bundles: Path, space: JointSpace) -> None:
    bundle = load_bundle(bundles / "flow", space)
    adapter = AdapterSpec(backend="onnx", model="adapter.onnx")
    bundle = replace(bundle, spec=bundle.spec.model_copy(update={"adapter": adapter}))
    encoder, head = (OnnxBackend(bundle.path / file) for file in ("encoder.onnx", "model.onnx"))
    asking = Asking(space.dim)
    policy = Policy(bundle, head, space, [encoder], asking)
    asking.told.clear()
    policy.predict(seen(space), replace(GOOD, cfg_beta=2.0))
    assert asking.told == [make.CONDITIONS.index("good")]
    asking.inputs["t"] = TensorInfo((None,), np.dtype(np.float32))
    with pytest.raises(BundleError, match=r"adapter\.onnx: unknown input 't'"):
        Policy(bundle, head, space, [encoder], asking)


def test_ddim_ends_near_the_data(bundles: Path, space: JointSpace) -> None:
    prediction = load_policy(bundles / "diffusion", space).predict(seen(space), Query(seed=5))
    np.testing.assert_allclose(prediction.positions, expected(space, 5), atol=0.005)
    assert prediction.decoder_steps == 50


@pytest.mark.parametrize("name", ["flow", "plain", "diffusion"])
def test_a_prefix_is_kept_whatever_the_order_of_joints(bundles: Path, space: JointSpace, name: str) -> None:
    folder = bundles / name
    content = yaml.safe_load((folder / "policy.yaml").read_text(encoding="utf-8"))
    order = np.random.default_rng(0).permutation(space.dim)
    for key, values in content["action"].items():
        content["action"][key] = [values[index] for index in order]
    shuffled = folder.parent / f"{name}-shuffled"
    shuffled.mkdir()
    for file in content["files"]:
        (shuffled / file).write_bytes((folder / file).read_bytes())
    (shuffled / "policy.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    policy = load_policy(shuffled, space)
    decided = np.linspace(space.lower, space.upper, make.HORIZON, dtype=np.float32)
    weights = np.zeros(make.HORIZON, np.float32)
    weights[:6] = 1.0
    decided[6:] = np.nan
    query = Query(condition=content.get("condition", ""), seed=5, prefix=Prefix(decided, weights, 6))
    prediction = policy.predict(seen(space), query)
    assert prediction.guided
    np.testing.assert_allclose(prediction.positions[:6], decided[:6], atol=1e-4)
    free = policy.predict(seen(space), replace(query, prefix=None))
    assert not free.guided
    np.testing.assert_allclose(prediction.positions[6:], free.positions[6:], atol=1e-5)


def test_a_condition_that_was_never_taught_is_refused_with_the_nearest(bundles: Path, space: JointSpace) -> None:
    with pytest.raises(PolicyError, match="unknown condition 'goood'") as caught:
        load_policy(bundles / "flow", space).predict(seen(space), Query(condition="goood"))
    assert "did you mean 'good'?" in str(caught.value)


def test_a_condition_that_no_network_hears_is_refused(bundles: Path, space: JointSpace) -> None:
    with pytest.raises(PolicyError, match="condition 'good': no network of the bundle takes one"):
        load_policy(bundles / "plain", space).predict(seen(space), Query(condition="good"))


def test_guidance_without_a_negative_is_refused(bundles: Path, space: JointSpace) -> None:
    with pytest.raises(PolicyError, match="guidance weight 2: the bundle has no negative condition"):
        load_policy(bundles / "plain", space).predict(seen(space), Query(cfg_beta=2.0))


def edited(folder: Path, to: Path, **values: Any) -> Path:
    """A copy with other keys in `policy.yaml`; None removes one."""
    to.mkdir()
    content = yaml.safe_load((folder / "policy.yaml").read_text(encoding="utf-8")) | values
    for file in content["files"]:
        (to / file).write_bytes((folder / file).read_bytes())
    kept = {key: value for key, value in content.items() if value is not None}
    (to / "policy.yaml").write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    return to


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("flow", {"flow": {"stepps": 4}}, "unknown key 'flow.stepps', did you mean 'steps'?"),
        ("flow", {"flow": {"steps": 0}}, "'flow.steps' is 0"),
        ("flow", {"flow": None, "diffusion": {}}, "section 'diffusion' belongs to decoder diffusion, this one is flow"),
        ("flow", {"condition": "best"}, "unknown condition 'best', valid are: bad, good"),
        ("flow", {"guidance": {"beta": 2.0}}, "key 'guidance.negative' is missing"),
        ("plain", {"guidance": {"negative": ""}}, "'guidance' belongs to decoders flow and diffusion"),
        ("plain", {"consistency": {"sigma_min": 90.0}}, "sigma_min 90.0 must be below sigma_max 80.0"),
        ("adapter", {"adapter": {"backend": "onnx", "model": "b.onnx"}}, "model 'b.onnx' is not among the files"),
        ("diffusion", {"diffusion": {"steps": 200}}, "200 steps, but the network was trained on 100 noise levels"),
        # The networks
        ("flow", {"conditions": None}, r"input 'condition' is int64 \(any\), expected text \(1\)"),
        ("flow", {"decoder": "diffusion", "flow": None}, r"no output 'epsilon' \(it has velocity\)"),
        ("flow", {"decoder": "direct", "flow": None, "guidance": None}, "unknown input 'x'"),
        ("flow", {"horizon": 30}, r"input 'x' is float32 \(any, 20, 50\), expected float32 \(1, 30, 50\)"),
        ("diffusion", {"guidance": {"negative": ""}}, "no input 'condition'"),
        ("diffusion", {"condition": "good"}, "no input 'condition'"),
        ("diffusion", {"diffusion": {"predicts": "v"}}, r"no output 'v' \(it has epsilon\)"),
        ("diffusion", {"encoders": None}, "unknown input 'goal'"),
    ],
)
def test_what_does_not_fit_is_one_line(
    bundles: Path, tmp_path: Path, space: JointSpace, name: str, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(BundleError, match=text) as caught:
        load_policy(edited(bundles / name, tmp_path / "edited", **change), space)
    assert "\n" not in str(caught.value)


def test_guidance_with_a_network_of_one_row_says_how_to_export_it(tmp_path: Path, space: JointSpace) -> None:
    make.flow(tmp_path / "fixed", space, batch=1)
    with pytest.raises(BundleError, match="fixed batch and guidance needs two rows: export it with a free one"):
        load_policy(tmp_path / "fixed", space)


def test_a_joint_without_spread_cannot_be_sampled(bundles: Path, tmp_path: Path, space: JointSpace) -> None:
    content = yaml.safe_load((bundles / "plain" / "policy.yaml").read_text(encoding="utf-8"))
    std = [
        0.0 if name == "left_elbow" else value
        for name, value in zip(space.names, content["action"]["std"], strict=True)
    ]
    folder = edited(bundles / "plain", tmp_path / "edited", action=content["action"] | {"std": std})
    with pytest.raises(BundleError, match="0 or less for 'left_elbow'"):
        load_policy(folder, space)
