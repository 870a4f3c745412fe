"""From what a model puts out to joint positions for the robot. Pure functions of arrays."""
