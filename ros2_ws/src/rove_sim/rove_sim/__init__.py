"""A simulated robot with the real one's topics, its tasks, and a scripted operator and supervisor."""
