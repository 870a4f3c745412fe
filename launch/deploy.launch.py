"""A whole session: ros2 launch rove_hil deploy.launch.py policy:=BUNDLE operator:=scripted:typical supervisor:=scripted

What runs is described once, in rove_hil.session.deployment; `rove deploy` runs the same without ROS installed.
Nodes may come up in any order: no attempt starts before supervisor_node has heard from all it needs.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from rove_hil.session.deployment import NodeSpec, Restart, describe
from rove_hil.session.settings import ARGUMENTS, Settings


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description=text) for name, (value, text) in ARGUMENTS.items()
    ]
    only = DeclareLaunchArgument("only", default_value="", description="nodes to run, comma-separated; empty for all")
    return LaunchDescription([*arguments, only, OpaqueFunction(function=_actions)])


def _actions(context: LaunchContext) -> list[SetEnvironmentVariable | Node]:
    values = {name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, "only")}
    only = set(filter(None, values.pop("only").split(",")))
    deployment = describe(Settings.from_text(values))
    environment = [SetEnvironmentVariable(name, value) for name, value in deployment.env.items()]
    return environment + [_node(spec) for spec in deployment.nodes if not only or spec.name in only]


def _node(spec: NodeSpec) -> Node:
    restarts = spec.restart is Restart.ON_FAILURE
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        parameters=[spec.ros_parameters()],
        remappings=list(spec.remappings.items()),
        additional_env=dict(spec.env),
        output="both",
        respawn=restarts,
        respawn_delay=1.0,
        respawn_max_retries=spec.max_restarts,
        on_exit=None if restarts or not spec.required else [Shutdown(reason=f"{spec.name} ended")],
    )
