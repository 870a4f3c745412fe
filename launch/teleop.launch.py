"""Teleoperation without a policy: operator:=mocap:tcp://HEADSET:5560, or scripted:expert."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration


def generate_launch_description() -> LaunchDescription:
    deploy = PythonLaunchDescriptionSource(str(Path(__file__).with_name("deploy.launch.py")))
    only = "supervisor_node,sim_node,filter_node,recorder_node,retarget_node,scripted_operator,scripted_supervisor"
    operator = LaunchConfiguration("operator", default="scripted:expert")
    arguments = {"only": only, "operator": operator, "demonstrations": "true", "policy": "none"}
    return LaunchDescription([IncludeLaunchDescription(deploy, launch_arguments=arguments.items())])
