"""Dagster's webserver as we run it; the toggle in its page is in ``toggle``."""
