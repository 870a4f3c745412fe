"""An actor with random weights, tiny or of full size: its actions mean nothing, its shapes and timing are real.

For tests, and for finding out what a machine can do before there is a trained policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModel, PreTrainedTokenizerFast, Qwen3VLConfig, logging
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from rove_core.joint_space import JointSpace
from rove_inference.actor.head import ActionContext, ActionHead, HeadConfig
from rove_inference.bundle import CameraSpec, JointsSpec, PolicySpec, write_bundle

logging.disable_progress_bar()

Size = Literal["tiny", "4b"]

BACKBONE = "backbone"
HEAD_CONFIG = "head.json"

# Random chunks stay this close to the home pose [rad].
SPREAD_RAD = 0.05

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# Qwen3-VL-4B-Instruct's own config.json, as far as it differs from the defaults of transformers.
TEXT_4B = {
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
}
VISION_4B = {
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_heads": 16,
    "out_hidden_size": 2560,
    "deepstack_visual_indexes": [5, 11, 17],
}
TEXT_TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 512,
}
VISION_TINY = {
    "depth": 3,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 64,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0, 1],
}


def write_random_actor(
    folder: Path,
    space: JointSpace,
    cameras: Sequence[CameraSpec],
    size: Size = "tiny",
    seed: int = 0,
    **spec: Any,
) -> Path:
    """Write a bundle: a Qwen3-VL checkpoint, and the head as .safetensors for backend torch.

    Args:
        spec: keys of `policy.yaml` that shall differ from what stands here.

    Returns:
        The folder.
    """
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    feature_dim = _write_backbone(folder / BACKBONE, size)
    sizes = {"width": 64, "layers": 2, "heads": 4} if size == "tiny" else {}
    config = HeadConfig(dim=space.dim, horizon=50, feature_dim=feature_dim, **sizes)
    head = ActionHead(config)
    head.state_mean.copy_(torch.tensor(space.home))
    save_file(ActionContext(config).state_dict(), folder / "context.safetensors")
    save_file(head.state_dict(), folder / "head.safetensors")
    (folder / HEAD_CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    joints = JointsSpec(names=space.names, mean=tuple(map(float, space.home)), std=(SPREAD_RAD,) * space.dim)
    content: dict[str, Any] = {
        "format": 1,
        "name": f"random-actor-{size}",
        "robot": space.robot,
        "encoders": [
            {"backend": "qwen3_vl", "model": f"{BACKBONE}/config.json"},
            _torch_network("context", "rove_context"),
        ],
        **_torch_network("head", "rove_head"),
        "decoder": "flow",
        "control_hz": 30.0,
        "horizon": config.horizon,
        "execute": 16,
        "cameras": tuple(cameras),
        "state": joints,
        "action": joints,
        "files": {path.relative_to(folder).as_posix(): "" for path in sorted(folder.rglob("*")) if path.is_file()},
    }
    return write_bundle(folder, PolicySpec.model_validate(content | spec))


def _torch_network(name: str, architecture: str) -> dict[str, str]:
    return {
        "backend": "torch",
        "model": f"{name}.safetensors",
        "architecture": architecture,
        "config": HEAD_CONFIG,
    }


def _write_backbone(folder: Path, size: Size) -> int:
    """Write a checkpoint as the makers of Qwen3-VL publish theirs; returns the width of its features."""
    folder.mkdir(exist_ok=True)
    text, vision = (TEXT_TINY, VISION_TINY) if size == "tiny" else (TEXT_4B, VISION_4B)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    half = text["head_dim"] // 2  # rotary pairs, shared out to time, row and column as in the 4B: 24, 20, 20 of 64
    sections = [half - 2 * (half * 20 // 64), half * 20 // 64, half * 20 // 64]
    rope = {"rope_type": "default", "rope_theta": 5_000_000, "mrope_section": sections, "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config={**text, "rope_parameters": rope},
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    # The 4B is published in bfloat16, and would not fit most machines in float32; a tiny one rounds less in float32.
    model = AutoModel.from_config(config, dtype=torch.bfloat16 if size == "4b" else torch.float32)
    model.save_pretrained(folder)
    smallest = 256 * 256 if size == "4b" else 32 * 32
    Qwen2VLImageProcessorPil(
        size={"shortest_edge": smallest, "longest_edge": 4096 * 4096},
        patch_size=16,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    ).save_pretrained(folder)
    return text["hidden_size"]


def _tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and Qwen's special tokens: no training text needed, and every instruction can be written."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=SPECIAL[0])
