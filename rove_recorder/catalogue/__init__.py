"""Many episodes: an index of them, sums over it, and bringing sessions together."""
