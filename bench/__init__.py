"""Measurements of this project beside its rivals, each pair in one run on one machine."""
