"""A code location for tests of warm starts: what a run's process is like. Nothing in it is slow."""

from .definitions import defs as defs
