"""Tokens of RDS's IAM authentication: the password of a connection, signed here.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

from __future__ import annotations

import os
from typing import Any, Final
from urllib.parse import quote, urlencode

from botocore.exceptions import BotoCoreError

from run_isolation.dagster.database.parameters import PORT, Parameters
from run_isolation.errors import DatabaseError

VALID_SECONDS: Final = 900
"""RDS takes a token for so long; a connection that it has opened stays."""
USED_SECONDS: Final = 600
"""How old a token may be that is used for another connection."""


def sign(login: Parameters, region: str | None) -> str:
    """A token for a host, port and user, as ``generate_db_auth_token`` of a client of RDS makes it.

    Such a client takes half a second to make at a quarter of a CPU. The first token of a process
    asks for the task's credentials; RDS is not asked.

    Args:
        login: What the connection is made with.
        region: Of the database; None: AWS_REGION.

    Raises:
        DatabaseError: There are no credentials, or no region.
    """
    # Imported here: 7 MiB, of no use to who logs in with a password.
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    where = region or os.environ.get("AWS_REGION")
    if where is None:
        raise DatabaseError(
            "IAM authentication", "no region is known.", "Set `region` of storage, or AWS_REGION."
        )
    endpoint = f"{login['host']}:{login.get('port', PORT)}"
    query = urlencode({"Action": "connect", "DBUser": login["user"]}, quote_via=quote)
    request = AWSRequest("GET", f"https://{endpoint}/?{query}")
    SigV4QueryAuth(_credentials(), "rds-db", where, expires=VALID_SECONDS).add_auth(request)
    return str(request.url).removeprefix("https://")


def _credentials() -> Any:
    from boto3.session import Session

    try:
        if found := Session().get_credentials():
            return found.get_frozen_credentials()
        problem = "this process has no AWS credentials."
    except BotoCoreError as error:
        problem = f"the AWS credentials can't be had: {error}."
    raise DatabaseError("IAM authentication", problem, "Give it a role that allows rds-db:connect.")
