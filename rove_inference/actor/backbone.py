"""The vision-language model: pictures and text to features, once per observation.

A Qwen3-VL checkpoint in a folder, as its makers publish it (config.json, safetensors, tokenizer, image processor),
loaded by transformers from there and from nowhere else: nothing is downloaded, nothing unpickled, no code of the
checkpoint is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoTokenizer, Qwen3VLModel, logging
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from rove_core.errors import BundleError, PolicyError
from rove_inference.backends import TEXT, Array, TensorInfo, first_line
from rove_inference.backends.placement import Placement
from rove_inference.backends.torch_model import torch_device
from rove_inference.bundle import Bundle, CameraSpec
from rove_inference.network import NetworkSpec

logging.disable_progress_bar()  # the log of a node is no terminal

PROMPT, CONDITION = "prompt", "condition"

# Qwen's chat format, pictures first, so that the features of the text have seen them. The condition is the last thing
# said: what stands before it is the same under every condition.
IMAGE = "<|vision_start|>{pads}<|vision_end|>"
IMAGE_PAD = "<|image_pad|>"
CHAT = "<|im_start|>user\n{images}{text}<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A batch of texts as the model takes it; all on its device, shape (B, tokens) unless noted."""

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor  # (3, B, tokens): time, row and column
    shared: int  # leading tokens that are the same in every row; at least one is left over


class Qwen3VLBackbone:
    """Final-layer features of pictures and text.

    Inputs are the bundle's pictures, `prompt` and `condition`. With several rows of text, as in classifier-free
    guidance, the pictures may come once or once per row. When they are the same, they and the leading part of the text
    that all rows share are computed once, and each row only from where it differs: a second condition costs little.
    Outputs are `features` (B, tokens, hidden) in float32 and `feature_mask` (B, tokens).
    """

    def __init__(self, folder: Path, cameras: Sequence[CameraSpec], placement: Placement) -> None:
        """Load the checkpoint.

        Raises:
            BundleError: it is no Qwen3-VL checkpoint, or its image processor would resize the bundle's pictures again.
            PolicyError: the device is not there.
        """
        self._device = torch_device(placement)
        torch.set_num_threads(placement.threads)
        self._model, self._tokenizer, self._processor = _load(folder, self._device)
        self._cameras = tuple(cameras)
        self._grids = self._fitting_grids()
        self._cached: tuple[tuple[str, ...], Tokens] | None = None
        hidden = self._model.config.text_config.hidden_size
        self.inputs: Mapping[str, TensorInfo] = {
            **{c.input_name: TensorInfo((None, 3, c.height, c.width), np.dtype(np.uint8)) for c in self._cameras},
            PROMPT: TensorInfo((None,), TEXT),
            CONDITION: TensorInfo((None,), TEXT),
        }
        self.outputs: Mapping[str, TensorInfo] = {
            "features": TensorInfo((None, None, hidden), np.dtype(np.float32)),
            "feature_mask": TensorInfo((None, None), np.dtype(np.bool_)),
        }

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Evaluate the model. Raises PolicyError when that fails."""
        rows = max(len(tensors[PROMPT]), len(tensors[CONDITION]))
        pairs = zip(_repeat(tensors[PROMPT], rows), _repeat(tensors[CONDITION], rows), strict=True)
        texts = tuple(f"{prompt}\n{condition}" if condition else prompt for prompt, condition in pairs)
        try:
            with torch.inference_mode():
                tokens = self._tokens(texts)
                batches = [tensors[camera.input_name] for camera in self._cameras]
                alike = all((batch == batch[:1]).all() for batch in batches)
                pictures = self._see(batches, 1 if alike else rows)
                features = self._branch(tokens, pictures) if alike and rows > 1 else self._read(tokens, pictures)
        except (RuntimeError, ValueError, TypeError) as error:
            raise PolicyError(f"inference failed: {first_line(error)}") from None
        return {"features": features.float().cpu().numpy(), "feature_mask": tokens.mask.bool().cpu().numpy()}

    def _read(self, tokens: Tokens, pictures: dict[str, Any]) -> torch.Tensor:
        """Features of all rows, each from its first token."""
        return self._model(
            input_ids=tokens.ids,
            attention_mask=tokens.mask,
            position_ids=tokens.positions,
            mm_encoder_outputs=pictures,
            use_cache=False,
        ).last_hidden_state

    def _branch(self, tokens: Tokens, pictures: dict[str, Any]) -> torch.Tensor:
        """Features of all rows, what they share computed once: a token sees only those before it."""
        rows, shared = len(tokens.ids), tokens.shared
        trunk = self._model(
            input_ids=tokens.ids[:1, :shared],
            attention_mask=tokens.mask[:1, :shared],
            position_ids=tokens.positions[:, :1, :shared],
            mm_encoder_outputs=pictures,
            use_cache=True,
        )
        trunk.past_key_values.batch_repeat_interleave(rows)
        branches = self._model(
            input_ids=tokens.ids[:, shared:],
            attention_mask=tokens.mask,
            position_ids=tokens.positions[:, :, shared:],
            past_key_values=trunk.past_key_values,
            use_cache=True,
        )
        return torch.cat([trunk.last_hidden_state.expand(rows, -1, -1), branches.last_hidden_state], dim=1)

    def _see(self, batches: Sequence[Array], rows: int) -> dict[str, Any]:
        """Features of the pictures, in the order of the text's rows."""
        if not batches:
            return {}
        pictures = [batch[row] for row in range(rows) for batch in batches]
        pixels = self._processor(images=pictures, input_data_format="channels_first", return_tensors="pt")
        grids = torch.from_numpy(np.tile(self._grids, (rows, 1)))
        made = self._model.get_image_features(
            pixels["pixel_values"].to(self._device), grids.to(self._device), return_dict=True
        )
        return {"image": made}

    def _tokens(self, texts: tuple[str, ...]) -> Tokens:
        """Tokens of the texts; they seldom change, so the last ones are kept."""
        if self._cached is not None and self._cached[0] == texts:
            return self._cached[1]
        merged = self._processor.merge_size**2
        images = "".join(IMAGE.format(pads=IMAGE_PAD * int(grid.prod() // merged)) for grid in self._grids)
        chats = [CHAT.format(images=images, text=text) for text in texts]
        coded = self._tokenizer(chats, padding=True, padding_side="right", return_tensors="pt")
        ids, mask = coded["input_ids"], coded["attention_mask"]
        kinds = (ids == self._model.config.image_token_id).int()
        grids = torch.from_numpy(np.tile(self._grids, (len(texts), 1)))
        positions, _ = self._model.get_rope_index(ids, kinds, image_grid_thw=grids, attention_mask=mask)
        same = (ids == ids[:1]).all(dim=0) & mask.bool().all(dim=0)
        shared = min(int(same.long().cumprod(dim=0).sum()), ids.shape[1] - 1)
        made = Tokens(ids.to(self._device), mask.to(self._device), positions.to(self._device), shared)
        self._cached = (texts, made)
        return made

    def _fitting_grids(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Patches of each camera's picture: time, rows, columns; shape (cameras, 3)."""
        patch, size = self._processor.patch_size, self._processor.size
        grids = []
        for camera in self._cameras:
            height, width = smart_resize(
                camera.height,
                camera.width,
                patch * self._processor.merge_size,
                min_pixels=size["shortest_edge"],
                max_pixels=size["longest_edge"],
            )
            if (height, width) != (camera.height, camera.width):
                raise BundleError(
                    f"camera '{camera.name}': the checkpoint's image processor makes {width} x {height} of "
                    f"{camera.width} x {camera.height}",
                    f"pictures are resized once: set width {width} and height {height} in policy.yaml",
                )
            grids.append((1, height // patch, width // patch))
        return np.array(grids, np.int64).reshape(-1, 3)


def open_backbone(bundle: Bundle, network: NetworkSpec, placement: Placement) -> Qwen3VLBackbone:
    """Open the checkpoint in the folder of `network.model`.

    Raises:
        BundleError: it cannot be used, or its folder holds files whose hashes the bundle does not state.
        PolicyError: the device is not there.
    """
    folder = (bundle.path / network.model).parent
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(bundle.path).as_posix()
        if path.is_file() and name not in bundle.spec.files:
            raise BundleError(f"bundle '{bundle.path.name}': {name} is not among the files of policy.yaml")
    return Qwen3VLBackbone(folder, bundle.spec.cameras, placement)


def _load(folder: Path, device: torch.device) -> tuple[Any, Any, Any]:
    """Model, tokenizer and image processor."""
    # Half the memory and twice the speed on a GPU; on a CPU without such arithmetic it would be slower.
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        # Without one, transformers would build the default, of eight billion random numbers.
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        if kind != "qwen3_vl":
            raise ValueError(f"its config.json says model_type {kind!r}, not 'qwen3_vl'")
        model, found = Qwen3VLModel.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **local
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        # Pillow, not torchvision: one library less, and the same picture on every machine.
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **local)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        why = f"is no Qwen3-VL checkpoint that can be loaded: {first_line(error)}"
        raise BundleError(f"{folder.name}/ {why}") from None
    # transformers would fill what a checkpoint lacks with random numbers, and only warn.
    lacking = [*found["missing_keys"], *(str(key) for key in found["mismatched_keys"])]
    if lacking:
        raise BundleError(f"{folder.name}/ lacks {len(lacking)} tensors of its config.json, first {sorted(lacking)[0]}")
    return model.to(device).eval(), tokenizer, processor


def _repeat(texts: Array, rows: int) -> Sequence[str]:
    """One text per row."""
    return list(texts) * (rows // len(texts))
