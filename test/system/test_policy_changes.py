"""Whole sessions whose policy runs elsewhere, dies there, and is replaced by one that the night brought."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rove_core.modes import Mode, Source
from rove_recorder.checking.check import check_episode

BUNDLE = Path(__file__).parents[2] / "bundles" / "whiteboard"
DEADLINE_S = 120.0
ROVE = (sys.executable, "-m", "rove_hil.cli.main")


def rove(*arguments: object) -> str:
    done = subprocess.run(
        [*ROVE, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[Path | str]]]:
    """`rove policy serve` with keys, and what `rove policy connect` needs to know of it."""
    for name in ("gpu", "robot"):
        rove("keys", "new", name, "--folder", tmp_path / name)
    own = ["--own-key", tmp_path / "gpu" / "gpu.key_secret", "--clients", tmp_path / "robot"]
    command = [*ROVE, "policy", "serve", str(BUNDLE), "--bind", "tcp://127.0.0.1:0", *map(str, own)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            lines: list[str] = []
            found = None
            while found is None and process.stdout is not None and (line := process.stdout.readline()):
                lines.append(line)
                found = re.search(r"at (tcp://\S+)", line)
            assert found, lines
            keys = ("--server-key", tmp_path / "gpu" / "gpu.key", "--own-key", tmp_path / "robot" / "robot.key_secret")
            yield process, [found[1], *keys]
        finally:
            process.kill()


def test_a_server_that_dies_pauses_the_robot_and_an_offered_policy_goes_on(
    begin: Callable[..., Any],
    supervisor: Any,
    server: tuple[subprocess.Popen[str], list[Path | str]],
    tmp_path: Path,
) -> None:
    process, (url, *keys) = server
    rove("policy", "connect", url, tmp_path / "far", *keys)
    offers = tmp_path / "offers"
    offers.mkdir()
    session = begin(
        *("--policy", str(tmp_path / "far"), "--no-demonstrations", "--offers", str(offers)),
        *("--operator", "none", "--supervisor", "none"),
    )
    supervisor.start_attempt()
    supervisor.spin_until(lambda: "driven by policy" in session.log("filter_node"), "the policy drives", DEADLINE_S)
    before = (supervisor.mode.policy_id, supervisor.mode.policy_index)
    process.send_signal(signal.SIGKILL)
    supervisor.spin_until(lambda: supervisor.mode.mode == Mode.PAUSED.number, "a pause", DEADLINE_S)
    assert supervisor.mode.event == "policy_stalled"

    shutil.copytree(BUNDLE, offers / ".uploading")
    text = (offers / ".uploading" / "policy.yaml").read_text()
    (offers / ".uploading" / "policy.yaml").write_text(re.sub(r"(?m)^index: \d+", "index: 77", text))
    (offers / ".uploading").rename(offers / "whiteboard-77")
    supervisor.spin_until(lambda: "is offered" in session.log("policy_node"), "an offer", DEADLINE_S)
    rove("policy", "accept")
    supervisor.spin_until(lambda: supervisor.mode.policy_index == 77, "the mode says which policy it is")
    assert supervisor.mode.policy_id != before[0]
    supervisor.press("resume")
    supervisor.spin_until(lambda: supervisor.mode.mode == Mode.ROLLOUT.number, "a rollout")
    driven = session.log("filter_node").count("driven by policy")
    supervisor.spin_until(
        lambda: session.log("filter_node").count("driven by policy") > driven, "the new policy drives"
    )
    supervisor.spin_for_rows(60)
    supervisor.press("succeed")
    supervisor.spin_until(lambda: list(session.out.glob("*/*.zarr")) != [], "a closed episode")

    (episode,) = session.episodes()
    assert check_episode(episode) == []
    steps = episode.steps
    # Rows of which the chunk came too late to the recorder say -1; check_episode sees to that it did.
    assert set(steps["policy_index"][steps["control"] == Source.POLICY]) - {-1} == {before[1], 77}
    said = {
        json.loads(episode.chunks.record("info_json", i).tobytes())["policy_id"] for i in range(episode.chunks.records)
    }
    assert said == {before[0], supervisor.mode.policy_id}
    swaps = [event for event in episode.events() if event["type"] == "policy_swapped"]
    assert [event["accepted"] for event in swaps] == [True]
