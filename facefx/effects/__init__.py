"""Faces → patches: one family a file."""
