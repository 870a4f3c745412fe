"""Networks whose library is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rove_core.errors import BundleError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import file_sha256
from rove_inference.loading import load_policy

Edit = Callable[..., Path]


@pytest.mark.parametrize(
    ("library", "module", "extra", "network"),
    [
        ("torch", "backends.torch_model", "torch", {"backend": "torch", "model": "model.pt2"}),
        ("transformers", "actor.backbone", "actor", {"backend": "qwen3_vl", "model": "config.json"}),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    tiny: Path, edited: Edit, space: JointSpace, monkeypatch: pytest.MonkeyPatch,
    library: str, module: str, extra: str, network: dict[str, str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, f"rove_inference.{module}", raising=False)
    file = tiny / network["model"]
    file.write_bytes(b"")
    with pytest.raises(BundleError, match=f"backend {network['backend']} needs .*, which is not installed") as caught:
        load_policy(edited(**network, files={file.name: file_sha256(file)}), space)
    assert f"rove_hil[{extra}]" in caught.value.hint
