"""A deployment's manifest, and the Dagster instance that it names."""

from run_isolation import Instance, Location, Manifest, Network, Size
from run_isolation.default_instance import default_dagster_yaml, no_logs, sqlite

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/run-isolation-test"

INSTANCE = Instance(dagster_yaml=default_dagster_yaml(sqlite("/srv/dagster"), no_logs()))

MANIFEST = Manifest(
    deployment="test",
    account="123456789012",
    region="us-east-1",
    cluster=CLUSTER,
    table="run-isolation-test-slots",
    network=Network(subnets=["subnet-1", "subnet-2"], security_groups=["sg-1"]),
    instance_version=INSTANCE.version,
    locations={
        "sales": Location(
            host="sales.test.run-isolation.internal",
            port=4000,
            standing=Size(cpu=256, memory=1024),
            isolated=Size(cpu=4096, memory=16384),
            log_group="/run-isolation/test/sales",
        )
    },
)
