"""Windows of episodes for trainers: which there are, who reads which, and reading them fast."""
