"""Prefect's ECS worker, driven by lines on standard input.

A script of its own environment (prefect.txt), which knows nothing of this project. Its argument is
the worker's job variables as JSON. `launch` and `terminate` are answered by the seconds they took.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import uuid

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect_aws.workers.ecs_worker import ECSJobConfiguration, ECSWorker


async def main() -> None:
    """Serves standard input, one line after the other."""
    logging.disable(logging.CRITICAL)
    template = ECSWorker.get_default_base_job_template()
    variables = json.loads(sys.argv[1])
    # Never asked: the variables name no blocks and no variables of a Prefect server.
    client = PrefectClient("http://127.0.0.1:9/api")
    worker = ECSWorker(work_pool_name="bench")
    flow_id = uuid.uuid4()
    identifier = ""
    print("ready", flush=True)
    for line in sys.stdin:
        configuration = await ECSJobConfiguration.from_template_and_values(
            template, variables, client=client
        )
        flow_run = FlowRun(id=uuid.uuid4(), flow_id=flow_id, name="bench")
        configuration.prepare_for_flow_run(flow_run)
        began = time.perf_counter()
        if line.strip() == "launch":
            identifier = (await worker.run(flow_run, configuration)).identifier
        else:
            await worker.kill_infrastructure(identifier, configuration)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
