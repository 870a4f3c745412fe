"""The robot's side of human-in-the-loop: takeover, filter, arbiter, retargeting, deployment, command line."""
