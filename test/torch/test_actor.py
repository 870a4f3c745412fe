"""The ROVE actor: real classes of transformers, few and random weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from rove_core.errors import BundleError
from rove_core.joint_space import JointSpace
from rove_inference.actor.backbone import Qwen3VLBackbone, Tokens
from rove_inference.actor.head import ActionContext, ActionHead, HeadConfig
from rove_inference.actor.random_init import write_random_actor
from rove_inference.backends.placement import Placement
from rove_inference.bundle import CameraSpec, file_sha256
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.query import Query

CAMERAS = (CameraSpec(name="head", width=96, height=64), CameraSpec(name="left_wrist", width=64, height=64))
GOOD, POOR = "Quality: good.", "Quality: poor."


@pytest.fixture(scope="module")
def backbone(actor: Path) -> Qwen3VLBackbone:
    return Qwen3VLBackbone(actor / "backbone", CAMERAS, Placement())


def seen(seed: int = 0, rows: int = 1) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    shapes = {camera.input_name: (1, 3, camera.height, camera.width) for camera in CAMERAS}
    pictures = {name: generator.integers(0, 256, shape, dtype=np.uint8) for name, shape in shapes.items()}
    return {name: np.repeat(picture, rows, axis=0) for name, picture in pictures.items()}


def told(*conditions: str, prompt: str = "erase the whiteboard") -> dict[str, Any]:
    return {"prompt": np.array([prompt] * len(conditions), object), "condition": np.array(conditions, object)}


def image_tokens(backbone: Qwen3VLBackbone, tokens: Tokens) -> torch.Tensor:
    return (tokens.ids == backbone._model.config.image_token_id).int()


def looking(space: JointSpace, seed: int = 0) -> Observation:
    pictures = {name.removeprefix("image_"): value[0].transpose(1, 2, 0) for name, value in seen(seed).items()}
    return Observation(0, 0, space.home, pictures)


def test_features_are_those_of_the_model_called_the_plain_way(backbone: Qwen3VLBackbone) -> None:
    # The model's own forward, with every picture once per row, and positions that it works out itself.
    rows = (GOOD, POOR + " Very.")
    made = backbone.run(seen() | told(*rows))
    tokens = backbone._tokens(tuple(f"erase the whiteboard\n{row}" for row in rows))
    pictures = [picture[0] for _ in rows for picture in seen().values()]
    pixels = backbone._processor(images=pictures, input_data_format="channels_first", return_tensors="pt")
    with torch.inference_mode():
        plain = backbone._model(
            input_ids=tokens.ids, attention_mask=tokens.mask, mm_token_type_ids=image_tokens(backbone, tokens), **pixels
        ).last_hidden_state.numpy()
    mask = made["feature_mask"]
    assert tokens.shared > 40, "most is computed once"
    np.testing.assert_allclose(made["features"][mask], plain[mask], atol=1e-5)


def test_each_picture_has_a_token_per_32_pixels_square(backbone: Qwen3VLBackbone) -> None:
    tokens = backbone._tokens(("",))
    assert int(image_tokens(backbone, tokens).sum()) == 3 * 2 + 2 * 2


def test_a_row_is_the_same_alone_and_beside_a_longer_one(backbone: Qwen3VLBackbone) -> None:
    both = backbone.run(seen(rows=2) | told(GOOD, "Quality: poor, and slow besides."))
    alone = backbone.run(seen() | told(GOOD))
    mask = both["feature_mask"][0]
    assert mask.sum() == alone["feature_mask"].sum() < both["feature_mask"][1].sum()
    np.testing.assert_allclose(both["features"][0][mask], alone["features"][0], atol=1e-5)


def test_rows_that_see_different_pictures_are_not_mixed_up(backbone: Qwen3VLBackbone) -> None:
    mixed = {name: np.concatenate([seen(1)[name], seen(2)[name]]) for name in seen()}
    both = backbone.run(mixed | told(GOOD, GOOD))["features"]
    for row, seed in enumerate((1, 2)):
        np.testing.assert_allclose(both[row], backbone.run(seen(seed) | told(GOOD))["features"][0], atol=1e-5)


@pytest.mark.parametrize("changed", ["picture", "prompt", "condition"])
def test_pictures_prompt_and_condition_reach_the_chunk(actor: Path, space: JointSpace, changed: str) -> None:
    policy = load_policy(actor, space)
    query = Query(instruction="erase the whiteboard", condition=GOOD, cfg_beta=1.0, seed=1)
    other = {
        "picture": (looking(space, 1), query),
        "prompt": (looking(space), Query(instruction="toast bread", condition=GOOD, cfg_beta=1.0, seed=1)),
        "condition": (looking(space), Query(instruction="erase the whiteboard", condition="x", cfg_beta=1.0, seed=1)),
    }[changed]
    first, same = (policy.predict(looking(space), query).positions for _ in range(2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, policy.predict(*other).positions)


def test_guidance_is_the_two_conditions_put_together(actor: Path, space: JointSpace) -> None:
    # One step of the flow is linear in the velocity, so the chunks combine as the velocities do.
    folder = actor.parent / "one-step"
    write_random_actor(
        folder, space, CAMERAS, condition=GOOD, guidance={"negative": POOR, "beta": 2.0}, flow={"steps": 1}
    )
    policy = load_policy(folder, space)
    chunk = {
        beta: policy.predict(looking(space), Query(condition=GOOD, cfg_beta=beta, seed=3)).positions
        for beta in (0.0, 1.0, 2.0)
    }
    expected = space.clip(chunk[0.0] + 2.0 * (chunk[1.0] - chunk[0.0]))
    free = (expected > space.lower + 1e-3) & (expected < space.upper - 1e-3)
    np.testing.assert_allclose(chunk[2.0][free], expected[free], atol=1e-4)


def test_the_context_is_what_cross_attention_sees_and_padding_is_not(space: JointSpace) -> None:
    torch.manual_seed(0)
    config = HeadConfig(dim=space.dim, horizon=50, feature_dim=16, width=32, layers=2, heads=4)
    context, head = ActionContext(config), ActionHead(config)
    features, mask = torch.randn(1, 9, 16), torch.ones(1, 9, dtype=torch.bool)
    given = {"x": torch.randn(1, 50, space.dim), "t": torch.tensor([0.3]), "state": torch.randn(1, space.dim)}
    with torch.inference_mode():
        plain = head(**given, **context(features), feature_mask=mask)["velocity"]
        padded = torch.cat([features, torch.full((1, 4, 16), 1e3)], dim=1)
        longer = torch.cat([mask, torch.zeros(1, 4, dtype=torch.bool)], dim=1)
        np.testing.assert_allclose(head(**given, **context(padded), feature_mask=longer)["velocity"], plain, atol=1e-5)
        assert not torch.allclose(head(**given, **context(2 * features + 1), feature_mask=mask)["velocity"], plain)


def test_a_camera_that_would_be_resized_again_is_refused_with_the_size_that_fits(actor: Path) -> None:
    with pytest.raises(BundleError, match="image processor makes 96 x 64 of 100 x 70") as caught:
        Qwen3VLBackbone(actor / "backbone", [CameraSpec(name="head", width=100, height=70)], Placement())
    assert "set width 96 and height 64" in caught.value.hint


def test_a_checkpoint_that_lacks_weights_is_refused(actor: Path, tmp_path: Path) -> None:
    # transformers would fill them with random numbers.
    folder = Path(shutil.copytree(actor / "backbone", tmp_path / "backbone"))
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight"))
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BundleError, match=r"lacks 1 tensors of its config\.json, first .*layers\.1\.mlp\.up_proj"):
        Qwen3VLBackbone(folder, CAMERAS, Placement())


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"])
def test_a_checkpoint_that_lacks_a_file_is_one_line(actor: Path, tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(actor / "backbone", tmp_path / "backbone"))
    (folder / file).unlink()
    with pytest.raises(BundleError, match="is no Qwen3-VL checkpoint that can be loaded") as caught:
        Qwen3VLBackbone(folder, CAMERAS, Placement())
    assert "\n" not in str(caught.value)


def test_a_file_beside_the_checkpoint_without_a_hash_is_refused(actor: Path, tmp_path: Path, space: JointSpace) -> None:
    folder = Path(shutil.copytree(actor, tmp_path / "actor"))
    (folder / "backbone" / "modeling.py").write_text("raise SystemExit", encoding="utf-8")
    with pytest.raises(BundleError, match=r"backbone/modeling\.py is not among the files of policy\.yaml"):
        load_policy(folder, space)


def test_a_pickled_checkpoint_is_not_opened(actor: Path, tmp_path: Path, space: JointSpace) -> None:
    folder = Path(shutil.copytree(actor, tmp_path / "actor"))
    weights = folder / "backbone" / "model.safetensors"
    torch.save(load_file(weights), folder / "backbone" / "pytorch_model.bin")
    weights.unlink()
    spec = yaml.safe_load((folder / "policy.yaml").read_text(encoding="utf-8"))
    del spec["files"]["backbone/model.safetensors"]
    spec["files"]["backbone/pytorch_model.bin"] = file_sha256(folder / "backbone" / "pytorch_model.bin")
    (folder / "policy.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    with pytest.raises(BundleError, match="is no Qwen3-VL checkpoint"):
        load_policy(folder, space)
