"""What moves the robot: who drives, where to, and inside which limits. `filter_node` runs it."""
