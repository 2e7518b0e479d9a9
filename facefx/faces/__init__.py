"""Frames → faces: detectors, looks, tracks."""
