"""One live stream: what it is told, what it does with frames in time, and what is kept of it."""
