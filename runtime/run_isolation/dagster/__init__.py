"""Dagster's side: coordinator, launcher, code server, worker, daemon, webserver.

A package for each: ``submit``, ``launch``, ``standing`` with ``warm``, ``memory``, ``ends`` and
``processes``, ``watch``, ``web`` with ``toggle``; ``home`` has the files of all. ``dagster.yaml``
names the modules of the coordinator and of the launcher, so importing this package imports nothing.
"""
