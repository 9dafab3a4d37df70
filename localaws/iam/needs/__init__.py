"""What each API call asks permission for: one table from operation to actions and resources.

Actions, resources and condition keys are those of AWS's Service Authorization Reference:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from typing import Final

from localaws.iam.needs import dynamodb, ecs, logs, s3, secrets, single
from localaws.iam.needs.ask import Ask, Need, Row

#: By service and operation. S3 has no names of operations: `s3.row` finds them.
TABLE: Final[dict[tuple[str, str], Row]] = {
    **{("ecs", name): row for name, row in ecs.ROWS.items()},
    **{("dynamodb", name): row for name, row in dynamodb.ROWS.items()},
    **{("logs", name): row for name, row in logs.ROWS.items()},
    **secrets.ROWS,
    **single.ROWS,
}


def of(ask: Ask) -> list[Need] | None:
    """Return all that a call needs permission for; None where the table does not know it."""
    row = s3.row(ask) if ask.service == "s3" else TABLE.get((ask.service, ask.operation))
    return None if row is None else list(row(ask))
