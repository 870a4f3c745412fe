"""The recorder alone, beside a session that runs already: out:=DIR."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description() -> LaunchDescription:
    deploy = PythonLaunchDescriptionSource(str(Path(__file__).with_name("deploy.launch.py")))
    only = "recorder_node"
    arguments = {"only": only, "operator": "scripted:expert", "demonstrations": "true", "policy": "none"}
    return LaunchDescription([IncludeLaunchDescription(deploy, launch_arguments=arguments.items())])
