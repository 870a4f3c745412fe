"""Devices that people press: what they send and how they fail. No ROS here."""
