"""IAM policies as plain data: one function per actor, one statement per purpose.

Resources are exact ARNs. Where a statement has a wildcard, a comment says why; the tests hold the
list of all of them. Actions, resources and condition keys:
https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

from typing import Final

from infra.deployment import EXECUTION, Deployment, Kind
from infra.statement_builders import Statement, allow, items, pull, read_secrets
from run_isolation.table import SETTINGS_KEY, SLOTS_KEY, claim_key, instance_key

ANY_CLAIM: Final = claim_key("*")
ANY_INSTANCE: Final = instance_key("*")


def trust(deployment: Deployment) -> list[Statement]:
    """Only ECS, and only for this account's own tasks, may take on a task's role.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
    """
    return [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                # The doc's own form: the task does not exist yet when its role is taken on.
                "ArnLike": {"aws:SourceArn": deployment.arn("ecs", "*")},
                "StringEquals": {"aws:SourceAccount": deployment.account},
            },
        }
    ]


def standing(deployment: Deployment, location: str) -> list[Statement]:
    """The standing container: frees slots, protects its task, sees redeploys, serves code."""
    cluster = {"ArnEquals": {"ecs:cluster": deployment.cluster_arn}}
    tasks = deployment.arn("ecs", f"task/{deployment.prefix}/*")
    return [
        items(deployment, "FreeSlots", "UpdateItem", SLOTS_KEY),
        allow(
            "ProtectTask",
            ["ecs:UpdateTaskProtection"],
            # Ids of tasks are not known before they run.
            tasks,
            **cluster,
        ),
        allow(
            "SeeRedeploys",
            ["ecs:DescribeServices"],
            deployment.arn("ecs", f"service/{deployment.prefix}/{location}"),
        ),
        allow("SeeTasks", ["ecs:DescribeTasks"], tasks, **cluster),
        # ecs:ListTasks has no resource that names a cluster, so the condition does.
        allow("ListTasks", ["ecs:ListTasks"], "*", **cluster),
        allow(
            "SeeNames",
            ["servicediscovery:GetInstancesHealthStatus"],
            # Cloud Map makes the ids of its services.
            deployment.arn("servicediscovery", "service/*"),
            StringEquals={
                f"aws:ResourceTag/{key}": value
                for key, value in deployment.tags(location=location).items()
                if key.startswith("run-isolation:")
            },
        ),
        items(deployment, "ReadInstance", "GetItem", ANY_INSTANCE),
        *_instance(deployment),
        *_outputs(deployment, location),
        *_database(deployment),
    ]


def isolated(deployment: Deployment, location: str) -> list[Statement]:
    """An isolated task: claims its run, then executes it."""
    return [
        # Ids of runs are not known before they are launched.
        items(deployment, "ClaimRun", "PutItem", ANY_CLAIM),
        # Versions are named by what they say.
        items(deployment, "ReadInstance", "GetItem", ANY_INSTANCE),
        *_instance(deployment),
        *_outputs(deployment, location),
        *_database(deployment),
    ]


def execution(deployment: Deployment, location: str) -> list[Statement]:
    """What ECS does before a task of this code location runs.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
    """
    config = deployment.config.code_locations[location]
    instance = deployment.config.instance
    # Of the instance's, only those that no value of the location's goes before.
    own = {*config.env, *config.secrets}
    shared = {name: arn for name, arn in instance.secrets.items() if name not in own}
    arns = [*config.secrets.values(), *shared.values()]
    return [
        *pull(deployment, config.image),
        allow(
            "WriteLogs",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            # A stream is named after its task.
            deployment.arn("logs", f"log-group:{deployment.log_group(location)}:log-stream:*"),
        ),
        *read_secrets(deployment, [*arns, *_database_secrets(deployment)]),
    ]


def launcher(deployment: Deployment) -> list[Statement]:
    """The webserver and the daemon: take slots; launch, watch and stop tasks; read claims, logs."""
    cluster = {"ArnEquals": {"ecs:cluster": deployment.cluster_arn}}
    # Ids of tasks are not known before they run.
    tasks = deployment.arn("ecs", f"task/{deployment.prefix}/*")
    shared = deployment.config.instance.secrets.values()
    return [
        *_run_tasks(deployment),
        allow("WatchTasks", ["ecs:DescribeTasks", "ecs:StopTask"], tasks, **cluster),
        # ecs:ListTasks has no resource that names a cluster, so the condition does.
        allow("ListTasks", ["ecs:ListTasks"], "*", **cluster),
        allow(
            "TagTasks",
            ["ecs:TagResource"],
            tasks,
            StringEquals={"ecs:CreateAction": "RunTask"},
        ),
        # Ids of runs are not known before they are launched, nor versions before they are made.
        items(deployment, "ReadTable", "GetItem", SETTINGS_KEY, SLOTS_KEY, ANY_CLAIM, ANY_INSTANCE),
        items(deployment, "TakeSlots", "UpdateItem", SLOTS_KEY),
        allow(
            "ReadLogs",
            ["logs:GetLogEvents"],
            # All code locations of this deployment, and the streams of their tasks.
            deployment.arn("logs", f"log-group:{deployment.log_group('*')}"),
        ),
        *_instance(deployment),
        *_database(deployment, *shared),
    ]


def launcher_roles(deployment: Deployment) -> list[Statement]:
    """The roles that the launcher hands to isolated tasks.

    A policy of its own, so that neither reaches IAM's limit of 6,144 characters before the manifest
    reaches its own.
    """
    roles = [
        deployment.role_arn(location, actor)
        for location in sorted(deployment.config.code_locations)
        for actor in (EXECUTION, Kind.ISOLATED)
    ]
    if not roles:
        return []
    return [
        allow(
            "PassRoles",
            ["iam:PassRole"],
            roles,
            StringEquals={"iam:PassedToService": "ecs-tasks.amazonaws.com"},
        )
    ]


def encrypted_transport(deployment: Deployment, bucket: str) -> list[Statement]:
    """A bucket's own policy: nobody reads or writes it over plain HTTP."""
    arn = f"arn:{deployment.partition}:s3:::{bucket}"
    return [
        {
            "Sid": "OnlyTls",
            # A refusal must cover everything, or it is none.
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def _run_tasks(deployment: Deployment) -> list[Statement]:
    """RunTask of isolated revisions, no larger than the location's largest size.

    One statement per size, so that a code location's cap is its own. ``IfExists``: the keys hold
    what the request overrides, and a run that asks for nothing overrides nothing.
    """
    families: dict[tuple[int, int], list[str]] = {}
    for location, config in sorted(deployment.config.code_locations.items()):
        size = (config.isolated.largest.cpu, config.isolated.largest.memory)
        # Any revision: a run that waited in the queue keeps the one that it was created with.
        family = f"task-definition/{deployment.family(location, Kind.ISOLATED)}:*"
        families.setdefault(size, []).append(deployment.arn("ecs", family))
    return [
        allow(
            f"RunTasks{cpu}Cpu{memory}MiB",
            ["ecs:RunTask"],
            arns,
            ArnEquals={"ecs:cluster": deployment.cluster_arn},
            NumericLessThanEqualsIfExists={
                "ecs:task-cpu": str(cpu),
                "ecs:task-memory": str(memory),
            },
            StringEqualsIfExists={"ecs:enable-execute-command": "false"},
        )
        for (cpu, memory), arns in sorted(families.items())
    ]


def _instance(deployment: Deployment) -> list[Statement]:
    """What every process with a Dagster instance reads and writes."""
    parameter = deployment.arn("ssm", f"parameter{deployment.manifest_parameter}")
    statements = [allow("ReadManifest", ["ssm:GetParameter"], parameter)]
    bucket = deployment.compute_logs_bucket
    if bucket is not None:
        arn = f"arn:{deployment.partition}:s3:::{bucket}"
        statements += [
            # The calls that Dagster makes of S3ComputeLogManager (its own deletion of logs is none
            # of them: dagster_aws/s3/compute_log_manager.py). Keys are named after runs and steps.
            allow("ComputeLogs", ["s3:GetObject", "s3:PutObject"], f"{arn}/*"),
            # Without it S3 answers 403, not 404, for a log that is not there yet.
            allow("ListComputeLogs", ["s3:ListBucket"], arn),
        ]
    return statements


def _outputs(deployment: Deployment, location: str) -> list[Statement]:
    """Outputs of the default I/O manager, below the deployment's name."""
    bucket = deployment.outputs_bucket(location)
    if bucket is None:
        return []
    arn = f"arn:{deployment.partition}:s3:::{bucket}"
    return [
        allow(
            "Outputs",
            # The last for what is left of a large output that could not be written.
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
            # Keys are named after assets, partitions, runs and steps.
            f"{arn}/{deployment.name}/*",
        ),
        # Without it S3 answers 403, not 404, for an output that is not there.
        allow("ListOutputs", ["s3:ListBucket"], arn),
    ]


def _database(deployment: Deployment, *secrets: str) -> list[Statement]:
    """Connecting to the database, also after its password has changed.

    Args:
        deployment: The deployment.
        secrets: Others that the actor reads.
    """
    statements = read_secrets(deployment, [*secrets, *_database_secrets(deployment)])
    database = deployment.config.instance.database
    if database is not None and database.iam_authentication:
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
        # The id is not known from the host's name: without it any database of the account.
        user = f"dbuser:{database.resource_id or '*'}/{database.user}"
        statements.append(
            allow("ConnectToDatabase", ["rds-db:connect"], deployment.arn("rds-db", user))
        )
    return statements


def _database_secrets(deployment: Deployment) -> list[str]:
    secret = deployment.config.instance.database_secret
    return [] if secret is None else [secret]
