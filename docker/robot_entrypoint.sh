#!/bin/bash
# The environment of ROS 2 and of this workspace, for the command and for the health check alike.
set -e
source /opt/ros/jazzy/setup.bash
source /opt/rove/install/local_setup.bash
# `rove` itself lies with the executables, where colcon puts them.
export PATH="/opt/rove/venv/bin:/opt/rove/install/lib/rove_hil:$PATH"
exec "$@"
