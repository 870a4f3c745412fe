"""Who may move the robot: the supervisor's memory, the alignment gate, what it watches. `supervisor_node` runs it."""
