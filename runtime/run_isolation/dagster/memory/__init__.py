"""A standing container and its memory: what runs take, who has to go, and what follows.

``reservations`` keeps what a run is expected to need, ``usage`` measures what it takes, the
``watchdog`` ends the largest where too little is left, ``run_endings`` writes that on it, and
``reexecution`` has it executed again, isolated.
"""
