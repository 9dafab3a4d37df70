"""A deployment's manifest."""

from run_isolation import Location, Manifest, Network, Size

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/run-isolation-test"

MANIFEST = Manifest(
    deployment="test",
    account="123456789012",
    region="us-east-1",
    cluster=CLUSTER,
    table="run-isolation-test-slots",
    network=Network(subnets=["subnet-1", "subnet-2"], security_groups=["sg-1"]),
    instance_version="0123456789abcdef",
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
