"""The description of a deployment: who runs, in which order, with what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rove_core.errors import BundleError, ConfigError
from rove_hil.session.deployment import NodeSpec, Phase, Restart, describe, environment
from rove_hil.session.settings import ARGUMENTS, Settings, bundle_folder

BASE = Settings(
    out_dir=Path("/runs/now"), policy=Path("/bundles/demo"), operator="scripted:typical", supervisor="scripted"
)


def nodes(settings: Settings) -> dict[str, NodeSpec]:
    return {node.name: node for node in describe(settings).nodes}


def test_a_simulated_session_has_everything() -> None:
    assert list(nodes(BASE)) == [
        "supervisor_node",
        "sim_node",
        "filter_node",
        "recorder_node",
        "retarget_node",
        "policy_node",
        "scripted_operator",
        "scripted_supervisor",
    ]


def test_a_real_robot_has_a_driver_and_people_of_its_own() -> None:
    settings = replace(BASE, robot="iron_r01", operator="mocap:tcp://headset:5560", supervisor="keyboard")
    found = nodes(settings)
    assert list(found) == [
        "supervisor_node",
        "filter_node",
        "recorder_node",
        "retarget_node",
        "policy_node",
        "keyboard_node",
    ]
    assert found["retarget_node"].parameters["mocap_url"] == "tcp://headset:5560"
    assert found["keyboard_node"].terminal


def test_demonstrations_run_without_a_policy() -> None:
    found = nodes(replace(BASE, policy=None, demonstrations=True))
    assert "policy_node" not in found
    assert found["scripted_supervisor"].parameters["demonstration"] is True


def test_the_supervisor_starts_alone_and_people_start_last() -> None:
    deployment = describe(BASE)
    assert [node.name for node in deployment.phase(Phase.SUPERVISION)] == ["supervisor_node"]
    phases = [node.phase for node in deployment.nodes]
    assert phases == sorted(phases)
    assert {node.name for node in deployment.phase(Phase.PEOPLE)} == {"scripted_operator", "scripted_supervisor"}


def test_what_an_attempt_cannot_be_safe_or_recorded_without_is_restarted() -> None:
    restarted = {name for name, node in nodes(BASE).items() if node.restart is Restart.ON_FAILURE}
    assert restarted == {"supervisor_node", "filter_node", "recorder_node", "retarget_node", "policy_node"}


def test_only_the_end_of_the_supervisor_of_attempts_ends_the_session() -> None:
    assert [name for name, node in nodes(BASE).items() if node.ends_session] == ["scripted_supervisor"]


def test_pedals_are_read_before_a_keyboard_opens_and_end_the_session_only_without_one() -> None:
    pressed = replace(BASE, pedals=("three_pedals=/dev/input/event7",), joys=("headset",), mapping=Path("/lab.yaml"))
    found = nodes(replace(pressed, supervisor="keyboard"))
    assert list(found)[-2:] == ["buttons_node", "keyboard_node"]
    buttons, keyboard = found["buttons_node"], found["keyboard_node"]
    assert buttons.parameters["pedals"] == ("three_pedals=/dev/input/event7",)
    assert buttons.parameters["joys"] == ("headset",)
    assert buttons.parameters["mapping"] == keyboard.parameters["mapping"] == "/lab.yaml"
    assert (buttons.ends_session, buttons.parameters["cues"]) == (False, False)
    assert buttons.restart is Restart.ON_FAILURE
    alone = nodes(replace(pressed, supervisor="pedal"))["buttons_node"]
    assert (alone.ends_session, alone.parameters["cues"], alone.parameters["episodes"]) == (True, True, 3)
    # An operator's button beside a supervisor who is scripted ends nothing.
    assert not nodes(pressed)["buttons_node"].ends_session


def test_operator_and_retargeting_meet_on_a_port_of_the_domain() -> None:
    found = nodes(replace(BASE, domain=7))
    url = found["retarget_node"].parameters["mocap_url"]
    assert url == found["scripted_operator"].parameters["bind_url"]
    assert url != nodes(replace(BASE, domain=8))["retarget_node"].parameters["mocap_url"]


def test_at_another_speed_everybody_but_the_simulator_follows_its_clock() -> None:
    found = nodes(replace(BASE, speed=3.0))
    assert found["sim_node"].parameters["speed"] == 3.0
    assert {name for name, node in found.items() if not node.parameters.get("use_sim_time")} == {"sim_node"}
    assert not any("use_sim_time" in node.parameters for node in nodes(BASE).values())


def test_ros_gets_lists_and_no_empty_ones() -> None:
    node = nodes(replace(BASE, cameras=()))["recorder_node"]
    assert "cameras" not in node.ros_parameters()
    assert nodes(BASE)["recorder_node"].ros_parameters()["cameras"] == ["head"]


def test_what_is_set_in_the_environment_stays() -> None:
    assert "FASTDDS_DEFAULT_PROFILES_FILE" in environment({})
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in environment({"FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"})
    assert "ROS_DOMAIN_ID" not in environment({})
    assert Path(environment({})["FASTDDS_DEFAULT_PROFILES_FILE"]).is_file()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"operator": "scripted"}, "operator 'scripted'"),
        ({"operator": "ghost:x"}, "operator 'ghost:x'"),
        ({"operator": "none:x"}, "operator 'none:x'"),
        ({"supervisor": "nobody"}, "supervisor 'nobody'"),
        ({"takeover_way": "blend"}, "takeover way 'blend'"),
        ({"supervisor": "pedal"}, "has no pedal"),
        ({"policy": None}, "needs a policy"),
        ({"demonstrations": True, "operator": "none"}, "need an operator"),
        ({"robot": "iron_r01"}, "only exist in the simulation"),
        ({"robot": "iron_r01", "operator": "mocap:tcp://x:1", "supervisor": "none", "speed": 2.0}, "speed 1"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        replace(BASE, **wrong)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)


def test_launch_arguments_are_the_same_settings(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").touch()
    text = {"out": "/runs/now", "policy": str(tmp_path), "operator": "scripted:typical", "supervisor": "scripted"}
    settings = Settings.from_text(text)
    assert describe(settings) == describe(replace(BASE, policy=tmp_path, domain=settings.domain))
    assert set(text) < set(ARGUMENTS)


def test_launching_without_arguments_is_the_demo_of_the_shipped_policy() -> None:
    nodes = {node.name: node for node in describe(Settings.from_text({})).nodes}
    assert {"sim_node", "policy_node", "scripted_operator", "scripted_supervisor"} < set(nodes)
    assert str(nodes["policy_node"].parameters["bundle"]).endswith("bundles/whiteboard")


def test_launching_on_a_robot_needs_no_word_about_the_supervisor() -> None:
    settings = Settings.from_text({"robot": "iron_r01", "operator": "mocap:tcp://headset:5560"})
    assert settings.supervisor == "none"


def test_a_launch_argument_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="many"):
        Settings.from_text({"policy": "none", "demonstrations": "true", "episodes": "many"})


def test_a_bundle_that_is_not_there_is_refused_with_the_ones_that_are() -> None:
    with pytest.raises(BundleError, match=r"nowhere: it has no policy\.yaml") as refusal:
        bundle_folder("nowhere")
    assert "whiteboard" in refusal.value.hint


def test_a_plan_of_stages_replaces_the_number_of_attempts() -> None:
    found = nodes(replace(BASE, start_stages="0:2,2:1"))
    assert found["scripted_supervisor"].parameters["episodes"] == 3
    assert found["scripted_supervisor"].parameters["start_stages"] == "0:2,2:1"
    people = replace(BASE, robot="iron_r01", operator="none", supervisor="keyboard", start_stages="0:2,2:1")
    assert nodes(people)["keyboard_node"].parameters["episodes"] == 3
    with pytest.raises(ConfigError, match="start stages"):
        replace(BASE, start_stages="0:2;1")


def test_an_attempt_needs_the_cameras_and_the_operator_of_the_session() -> None:
    simulated = nodes(replace(BASE, cameras=("head", "wrist")))["supervisor_node"].parameters
    assert simulated["cameras"] == ("head", "wrist")
    assert simulated["operator"] is True
    assert simulated["confirm_reset"] is False
    real = nodes(replace(BASE, robot="iron_r01", operator="none", supervisor="keyboard"))["supervisor_node"].parameters
    assert real["operator"] is False
    assert real["confirm_reset"] is True, "nobody resets a real scene but people"
