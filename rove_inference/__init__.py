"""Policies on the robot: bundles, backends, decoders, and when to ask for the next chunk."""
