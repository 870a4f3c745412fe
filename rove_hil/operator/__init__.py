"""The operator's body as motion-capture frames: sources, recordings, calibration."""
