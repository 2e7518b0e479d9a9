"""Bytes ⇄ frames; the only user of av."""
