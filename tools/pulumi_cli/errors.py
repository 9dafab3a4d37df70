"""Errors of the search for the Pulumi CLI."""


class PulumiCliError(Exception):
    """No Pulumi CLI could be found, downloaded or built. Says why and how to mend it."""


class UnavailableError(Exception):
    """One way to get the CLI does not work here, so the next one is tried. The message says why."""
