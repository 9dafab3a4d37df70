"""Dagster's side: coordinator, launcher, code server, worker, daemon, webserver.

A package for each: ``launch``, ``standing`` with ``warm``, ``memory`` and ``ends``, ``watch``,
``web`` with ``toggle``. ``dagster.yaml`` names the modules of the coordinator and of the launcher,
so importing this package imports nothing.
"""
