"""Keeping the robot off itself and inside its workspace."""
