"""The shared vocabulary against real ROS: message constants, parameters, simulated time, the lifecycle base."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from pydantic import Field
from rcl_interfaces.msg import ParameterType
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rove_msgs.msg import CommandTrace, ControlMode, SupervisorEvent

from rove_core.config import ConfigModel
from rove_core.errors import ConfigError, RoveError
from rove_core.modes import Event, Mode, Source, Stage
from rove_core.ros import stamps
from rove_core.ros.node import RoveNode
from rove_core.ros.parameters import declare

MESSAGES = Path(__file__).parents[2] / "ros2_ws/src/rove_msgs/msg"


class Settings(ConfigModel):
    rate_hz: float = Field(200.0, gt=0, le=1000, description="ticks a second [Hz]")
    robot: str = Field("iron_r01", description="which robot")
    attempts: int = Field(3, ge=1, description="how many")
    record: bool = True
    cameras: tuple[str, ...] = ("head",)
    pedals: tuple[str, ...] = ()


@pytest.fixture
def context(domain_id: int) -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    yield context
    rclpy.try_shutdown(context=context)


def node_with(context: rclpy.Context, **values: object) -> Node:
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    return Node("configured", context=context, parameter_overrides=overrides)


@pytest.mark.parametrize(
    ("words", "message", "prefix"),
    [(Mode, ControlMode, "MODE_"), (Stage, ControlMode, "STAGE_"), (Source, CommandTrace, "SOURCE_")],
)
def test_the_numbers_of_the_vocabulary_are_those_of_the_messages(words: type, message: type, prefix: str) -> None:
    constants = {name: getattr(message, name) for name in dir(message) if name.startswith(prefix)}
    numbers = {f"{prefix}{word.name}": word.number if words is Mode else int(word) for word in words}  # type: ignore[attr-defined]
    assert numbers == constants


def test_every_mode_comes_back_from_its_number_and_others_do_not() -> None:
    assert [Mode.from_number(mode.number) for mode in Mode] == list(Mode)
    for number in (-1, len(Mode)):
        with pytest.raises(ValueError, match="number"):
            Mode.from_number(number)
    assert SupervisorEvent.MODE_ANY not in [mode.number for mode in Mode]


def test_the_message_names_every_event() -> None:
    lines = (MESSAGES / "SupervisorEvent.msg").read_text(encoding="utf-8").splitlines()
    comments = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    named = comments.split("Event names:")[1].split("Filled by")[0].split()
    assert named == [event.value for event in Event]


def test_parameters_have_the_models_defaults_types_ranges_and_descriptions(context: rclpy.Context) -> None:
    node = node_with(context)
    try:
        assert declare(node, Settings) == Settings()
        rate, attempts, cameras, pedals = (
            node.describe_parameter(name) for name in ("rate_hz", "attempts", "cameras", "pedals")
        )
    finally:
        node.destroy_node()
    assert (rate.type, attempts.type, cameras.type, pedals.type) == (
        ParameterType.PARAMETER_DOUBLE,
        ParameterType.PARAMETER_INTEGER,
        ParameterType.PARAMETER_STRING_ARRAY,
        ParameterType.PARAMETER_STRING_ARRAY,
    )
    assert rate.description == "ticks a second [Hz]"
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (0.0, 1000.0)
    assert attempts.integer_range[0].from_value == 1
    assert rate.read_only


def test_given_values_arrive(context: rclpy.Context) -> None:
    given = {"rate_hz": 100.0, "cameras": ("head", "left_wrist"), "pedals": ("foot",), "record": False}
    node = node_with(context, **given | {"cameras": ["head", "left_wrist"], "pedals": ["foot"]})
    try:
        assert declare(node, Settings) == Settings.model_validate(given)
    finally:
        node.destroy_node()


@pytest.mark.parametrize(
    ("values", "named"),
    [({"rate_hz": 0.0}, "rate_hz"), ({"rate_hz": "fast"}, "rate_hz"), ({"attempts": 0}, "attempts")],
)
def test_a_value_that_does_not_fit_is_an_error_that_names_it(
    context: rclpy.Context, values: dict[str, object], named: str
) -> None:
    node = node_with(context, **values)
    try:
        with pytest.raises(ConfigError, match=named):
            declare(node, Settings)
    finally:
        node.destroy_node()


def test_stamps_survive_the_message() -> None:
    for stamp_ns in (0, 1, 999_999_999, 1_700_000_000_123_456_789):
        assert stamps.to_ns(stamps.to_msg(stamp_ns)) == stamp_ns


class Recorder(RoveNode):
    """Writes down what the lifecycle calls."""

    NAME = "lifecycle_base"

    def __init__(self, fails_in: str = "") -> None:
        super().__init__()
        self.calls: list[str] = []
        self.fails_in = fails_in

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails_in:
            raise RoveError(f"{name} failed", "try again")

    def configure(self) -> None:
        self._called("configure")

    def activate(self) -> None:
        self._called("activate")

    def deactivate(self) -> None:
        self._called("deactivate")


@pytest.fixture
def default_context(domain_id: int) -> Iterator[None]:
    rclpy.init(domain_id=domain_id)
    yield
    rclpy.try_shutdown()


@pytest.mark.usefixtures("default_context")
def test_a_node_goes_through_its_life_in_order() -> None:
    node = Recorder()
    try:
        transitions = [node.trigger_configure(), node.trigger_activate(), node.trigger_deactivate()]
    finally:
        node.destroy_node()
    assert transitions == [TransitionCallbackReturn.SUCCESS] * 3
    assert node.calls == ["configure", "activate", "deactivate"]


@pytest.mark.usefixtures("default_context")
def test_an_error_of_ours_fails_the_transition_and_leaves_the_node_configurable() -> None:
    node = Recorder(fails_in="configure")
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        node.fails_in = ""
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    finally:
        node.destroy_node()


FAILING_NODE = """
import threading
from rove_core.ros.node import RoveNode, main

class Failing(RoveNode):
    NAME = "failing"
    def activate(self):
        threading.Thread(target=self.fail, args=("the thread cannot go on",)).start()

main(Failing)
"""


@pytest.mark.usefixtures("domain_id")
def test_a_node_whose_thread_fails_ends_with_an_exit_code_and_the_reason() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FAILING_NODE], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert "the thread cannot go on" in ended.stderr
