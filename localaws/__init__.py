"""AWS on one machine: moto's APIs, and ECS tasks that run as processes. Linux only.

`localaws.account.LocalAccount` is the account, `python -m localaws` runs one in the foreground,
and `localaws.pytest_plugin` has fixtures for tests of your own code locations.
"""
