"""Robot models as URDF and MJCF, generated from one source."""
