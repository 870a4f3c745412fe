"""The recorder as a ROS 2 node."""
