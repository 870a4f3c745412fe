"""The simulated robot alone, with the real robot's topics."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description() -> LaunchDescription:
    deploy = PythonLaunchDescriptionSource(str(Path(__file__).with_name("deploy.launch.py")))
    only = "sim_node"
    arguments = {"only": only, "operator": "scripted:expert", "demonstrations": "true", "policy": "none"}
    return LaunchDescription([IncludeLaunchDescription(deploy, launch_arguments=arguments.items())])
