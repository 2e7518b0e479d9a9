"""Many videos: planned, cut, spread over workers, put together again, and accounted for."""
