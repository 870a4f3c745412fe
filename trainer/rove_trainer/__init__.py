"""The reference trainer: from recorded episodes to policy bundles. No ROS."""
