"""What `policy.yaml` may say about a network."""

from __future__ import annotations

from typing import Any

import pytest

from rove_core.config import parse
from rove_core.errors import ConfigError
from rove_inference.network import NetworkSpec


@pytest.mark.parametrize("model", ["weights.pt", "weights.pth", "pytorch_model.bin", "last.ckpt", "policy.pkl"])
def test_a_pickle_is_refused_and_why(model: str) -> None:
    with pytest.raises(ConfigError, match=r"is a pickle, which runs code when it is opened: export to \.onnx"):
        parse(NetworkSpec, {"backend": "torch", "model": model}, "policy.yaml")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"backend": "onnx", "model": "model.safetensors"}, r"backend onnx opens \.onnx, model is 'model.safetensors'"),
        ({"backend": "torch", "model": "model.onnx"}, r"backend torch opens \.pt2 or \.safetensors"),
        ({"backend": "torch", "model": "head.safetensors"}, "`architecture` .* go with a model in .safetensors"),
        ({"backend": "torch", "model": "head.pt2", "architecture": "rove_head"}, "go with a model in .safetensors"),
        ({"backend": "python"}, "`entry_point` goes with backend python"),
        ({"backend": "onnx", "model": "m.onnx", "entry_point": "mine"}, "`entry_point` goes with backend python"),
        ({"backend": "qwen3_vl", "model": "backbone"}, "backend qwen3_vl opens config.json"),
    ],
)
def test_keys_that_do_not_go_together_are_named(keys: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parse(NetworkSpec, keys, "policy.yaml")


def test_what_a_network_reads_is_its_model_and_its_configuration() -> None:
    keys = {"backend": "torch", "model": "head.safetensors", "architecture": "rove_head", "config": "head.json"}
    assert parse(NetworkSpec, keys, "policy.yaml").needs == ("head.safetensors", "head.json")
