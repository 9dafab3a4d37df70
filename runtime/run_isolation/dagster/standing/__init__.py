"""The standing container's server, and the client that asks one of them by its address.

``code_server`` is Dagster's own with our calls, ``run_processes`` what is done about the processes
of runs behind them, ``listeners`` its two ports, ``client`` who asks it.
"""
