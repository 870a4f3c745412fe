"""The vocabulary that every part of ROVE HIL shares: joints, modes, chunks, clocks, errors, configuration."""

__version__ = "0.1.0"
