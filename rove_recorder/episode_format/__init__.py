"""The episode format on disk: arrays, hashes, stages; see docs/reference/episode-format.md."""
