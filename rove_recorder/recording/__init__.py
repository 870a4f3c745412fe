"""From messages to finished episodes: the recorder, its writer, and recovery."""
