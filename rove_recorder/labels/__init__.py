"""What is said of an episode afterwards, by people and programs, beside its facts."""
