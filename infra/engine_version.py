"""The oldest Pulumi engine that keeps what this program promises."""

from typing import Final

import pulumi

OLDEST: Final = "3.238.0"
"""Before it, a hook that fails after a step is a warning and `pulumi up` exits with 0
(https://github.com/pulumi/pulumi/pull/22935): a limit that is not in force would pass for one."""


def require_engine() -> None:
    """Refuses an engine that is too old.

    Raises:
        pulumi.RunError: It is, and the message says which it is and which will do.
    """
    try:
        pulumi.require_pulumi_version(f">={OLDEST}")
    except Exception as error:  # the SDK raises nothing narrower
        raise pulumi.RunError(
            f"{error}. This program needs the Pulumi CLI {OLDEST} or newer: an older one ends "
            "with success where a new limit is not in force. Install a newer one "
            "(https://www.pulumi.com/docs/iac/download-install/), then `pulumi up` again."
        ) from None
