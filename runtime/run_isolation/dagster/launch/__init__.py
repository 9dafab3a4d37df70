"""Launching runs of either kind, and what becomes of them: what the launcher calls."""
