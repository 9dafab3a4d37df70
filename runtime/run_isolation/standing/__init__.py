"""The standing task of a code location and the runs that it hosts.

``hosting`` starts each run once, while it holds its slot. ``draining`` takes the task through
redeploys, with ``redeploys`` (is another task in its place?) and ``protection`` (from ECS ending
it). ``container_memory`` is what the container has left, ``why_gone`` the words for its end.
"""
