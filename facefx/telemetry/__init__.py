"""Where each millisecond went, and what to call it."""
