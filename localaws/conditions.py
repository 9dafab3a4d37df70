"""How unkind the account is: what takes time on AWS, and what there is only so much of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat


class Conditions(BaseModel):
    """Times and quotas of an account, which may be changed while it lives. Times are in seconds.

    Without a quota (None) there is as much as anybody asks for.

    Attributes:
        health_lag_seconds: How long Cloud Map goes on with an instance's former health. On AWS
            "approximately 30 seconds":
            https://docs.aws.amazon.com/cloud-map/latest/api/API_HealthCheckCustomConfig.html
        swallow_seconds: How long the address of a task that has ended swallows packets. On AWS
            until it is another interface's: nobody is there to refuse them.
        vcpus: The quota of Fargate vCPUs of each region. New accounts have few:
            https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
        launches_per_second: How many tasks RunTask may start in a second; 20 on AWS:
            https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
        launch_burst: How many it may start at once.
        parameters_per_second: Reads of SSM's parameters in a second; 40 on AWS:
            https://docs.aws.amazon.com/general/latest/gr/ssm.html
        secrets_per_second: Reads of Secrets Manager's secrets in a second; 10,000 on AWS:
            https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
        iam_lag_seconds: How much later a change of a role or its policies is in force:
            https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
        definition_lag_seconds: How much later RunTask finds a revision that was registered:
            https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html ("The Amazon
            ECS API follows an eventual consistency model")
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    health_lag_seconds: NonNegativeFloat = 3.0
    swallow_seconds: NonNegativeFloat = 60.0
    vcpus: PositiveFloat | None = None
    launches_per_second: PositiveFloat | None = None
    launch_burst: PositiveFloat = 100.0
    parameters_per_second: PositiveFloat | None = None
    secrets_per_second: PositiveFloat | None = None
    iam_lag_seconds: NonNegativeFloat = 0.0
    definition_lag_seconds: NonNegativeFloat = 0.0

    def change(self, text: bytes) -> None:
        """Change what a JSON object names.

        Raises:
            pydantic.ValidationError: It names something else, or a value is wrong.
        """
        asked = Conditions.model_validate_json(text)
        for name in asked.model_fields_set:
            setattr(self, name, getattr(asked, name))
