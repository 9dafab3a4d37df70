"""Dagster's side: coordinator, launcher, code server, worker, daemon, webserver.

``dagster.yaml`` names the modules of the coordinator and of the launcher, so importing this package
imports nothing.
"""
