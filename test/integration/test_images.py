"""The container images as far as they can be checked without an engine: lint, and that what they name exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))


def copied(dockerfile: Path) -> list[str]:
    """Paths that come from this repository (and not from another stage)."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def compose() -> dict[str, Any]:
    document = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    command = [Path(sys.prefix) / "bin/hadolint", "--config", DOCKER / "hadolint.yaml", dockerfile]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_what_an_image_copies_exists_and_is_not_kept_out(dockerfile: Path) -> None:
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    assert [source for source in copied(dockerfile) if not (ROOT / source).exists()] == []
    assert [source for source in copied(dockerfile) if source.split("/")[0] not in let_in] == []


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_runs_as_nobody_special_and_reports_its_health(dockerfile: Path) -> None:
    last_stage = re.split(r"^FROM ", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)[-1]
    users = re.findall(r"^USER (.+)$", last_stage, flags=re.MULTILINE)
    assert users[-1:] == ["1000"]
    health = last_stage.split("HEALTHCHECK")[1]
    assert '"rove", "doctor"' in health


def test_the_robot_has_the_gpu_build_and_the_simulation_the_cpu_build_of_onnx_runtime() -> None:
    assert "requirements/robot.txt" in (DOCKER / "robot.Dockerfile").read_text(encoding="utf-8")
    assert "requirements/sim.txt" in (DOCKER / "install_sim.sh").read_text(encoding="utf-8")


def test_compose_builds_every_image_and_shares_what_dds_needs() -> None:
    services = compose()["services"]
    built = {
        (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).resolve()
        for service in services.values()
    }
    assert built == set(DOCKERFILES)
    for service in services.values():
        assert (service["network_mode"], service["ipc"]) == ("host", "host")
        assert service["ulimits"]["rtprio"] > 0
    assert "/dev/input:/dev/input" in services["robot"]["volumes"]


@pytest.mark.parametrize("script", sorted(DOCKER.glob("*.sh")), ids=lambda path: path.stem)
def test_scripts_parse(script: Path) -> None:
    shell = script.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!")
    assert subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False).stderr == ""
