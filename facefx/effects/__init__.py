"""Faces → patches: what changes the pixels of a face. One effect is one file in `library`."""
