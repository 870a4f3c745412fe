"""What every node of ROVE HIL shares of ROS 2: topic names with QoS, the lifecycle base, time, parameters.

The rest of rove_core needs no ROS and never imports this folder.
"""
