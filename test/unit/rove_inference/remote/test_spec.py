"""Where a policy may run, as policy.yaml says it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rove_core.errors import BundleError, ConfigError
from rove_inference.remote.spec import RemoteSpec, is_local, require_encryption


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("tcp://127.0.0.1:5560", True),
        ("tcp://127.8.8.8:5560", True),
        ("ws://[::1]:8000", True),
        ("ws://localhost:8000", True),
        ("ipc:///run/rove/policy", True),
        ("tcp://0.0.0.0:5560", False),
        ("tcp://*:5560", False),
        ("tcp://192.168.1.20:5560", False),
        ("tcp://gpu-box:5560", False),
        ("tcp://127.0.0.1.example.org:5560", False),
    ],
)
def test_loopback_is_told_from_the_network(url: str, local: bool) -> None:
    assert is_local(url) == local
    require_encryption(url, encrypted=True)
    if local:
        require_encryption(url, encrypted=False)
    else:
        with pytest.raises(ConfigError, match="without keys: whoever reaches it could move the robot"):
            require_encryption(url, encrypted=False)


@pytest.mark.parametrize(
    ("backend", "remote", "text"),
    [
        ("rove", {"url": "tcp://gpu-box:5560", "policy": "p@0"}, "without keys"),
        ("rove", {"url": "tcp://127.0.0.1:5560"}, "`policy` is missing"),
        ("rove", {"url": "ws://127.0.0.1:8000", "policy": "p@0"}, "no url for backend rove"),
        ("openpi", {"url": "tcp://127.0.0.1:8000"}, "no url for backend openpi"),
        ("openpi", {"url": "ws://gpu-box:8000"}, "in the clear"),
        ("groot", {"url": "tcp://gpu-box:5555"}, "in the clear"),
        ("groot", {"url": "grpc://127.0.0.1:8080"}, "pickles, which run code"),
    ],
)
def test_what_cannot_be_right_is_one_line(backend: str, remote: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        RemoteSpec(**remote).check_for(backend)
    assert "\n" not in str(caught.value)


def test_a_trusted_network_is_said_to_be_one() -> None:
    RemoteSpec(url="ws://gpu-box:8000", plain=True).check_for("openpi")
    RemoteSpec(url="wss://gpu-box:8000").check_for("openpi")


def test_the_servers_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RemoteSpec(url="ws://127.0.0.1:8000", token_env="ROVE_TEST_TOKEN")  # noqa: S106 - a name
    monkeypatch.delenv("ROVE_TEST_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="ROVE_TEST_TOKEN is not set"):
        spec.token()
    monkeypatch.setenv("ROVE_TEST_TOKEN", "secret")
    assert spec.token() == "secret"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"remote": None}, "`remote` goes with backend"),
        ({"backend": "onnx", "model": "m.onnx", "files": {"m.onnx": "0"}}, "`remote` goes with backend"),
        ({"model": "m.onnx", "files": {"m.onnx": "0"}}, "runs elsewhere: it has no model"),
    ],
)
def test_a_bundle_runs_here_or_elsewhere_not_both(far: Callable[..., object], spec: dict[str, Any], text: str) -> None:
    with pytest.raises(BundleError, match=text):
        far("rove", spec, url="tcp://127.0.0.1:1", policy="p@0")


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs/reference/policy-bundle.md").read_text(encoding="utf-8")
    section = page.split("## Remote")[1].split("\n## ")[0]
    documented = {
        key for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
    }
    assert documented - {"remote"} == set(RemoteSpec.model_fields)
