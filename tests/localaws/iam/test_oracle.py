"""Our decisions beside those of `@cloud-copilot/iam-simulate`, on random policies and requests.

`make oracle` does it ten thousand times.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from localaws.iam import policy
from localaws.iam.evaluate import decide
from localaws.iam.policy import Request
from localaws.iam.principals import Principal
from tests.localaws.iam import random_cases

PACKAGE = Path(__file__).parents[3] / "node_modules" / "@cloud-copilot" / "iam-simulate"
CASES = int(os.environ.get("ORACLE_CASES", "400"))
SEED = int(os.environ.get("ORACLE_SEED", "1"))


def ours(case: dict[str, Any]) -> str:
    who = Principal(case["principal"], case["account"], random_cases.ROLE)
    context = {key.lower(): value for key, value in case["context"].items()}
    decision = decide(
        Request(case["action"], case["resource"], who, context),
        [policy.parse("identity", one) for one in case["identity"]],
        policy.parse("resource", found) if (found := case["resource_policy"]) else None,
    )
    if decision.allowed:
        return "Allowed"
    return "ExplicitlyDenied" if decision.explicit else "ImplicitlyDenied"


@pytest.mark.timeout(300)
def test_we_decide_as_the_oracle_does() -> None:
    node = shutil.which("node")
    if node is None or not PACKAGE.exists():
        pytest.skip("no iam-simulate here: `make page` installs it, where npm is found")
    random = Random(SEED)
    cases = [random_cases.case(random) for _ in range(CASES)]
    said = subprocess.run(
        [node, str(Path(__file__).with_name("oracle.mjs"))],
        input=json.dumps(cases) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(said.stdout)
    differences = [
        f"we say {mine}, the oracle {their}: {json.dumps(case)}"
        for case, their in zip(cases, theirs, strict=True)
        if (mine := ours(case)) != their
    ]
    assert not differences, "\n".join(differences[:3])
    # Else the cases prove little.
    assert {"Allowed", "ExplicitlyDenied", "ImplicitlyDenied"} == set(theirs)
