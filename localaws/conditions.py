"""How unkind the account is: what takes time on AWS, and what there is only so much of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, NonNegativeFloat


class Conditions(BaseModel):
    """Times and quotas of an account, which may be changed while it lives. Times are in seconds.

    Attributes:
        health_lag_seconds: How long Cloud Map goes on with an instance's former health. On AWS
            "approximately 30 seconds":
            https://docs.aws.amazon.com/cloud-map/latest/api/API_HealthCheckCustomConfig.html
        swallow_seconds: How long the address of a task that has ended swallows packets. On AWS
            until it is another interface's: nobody is there to refuse them.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    health_lag_seconds: NonNegativeFloat = 3.0
    swallow_seconds: NonNegativeFloat = 60.0

    def change(self, text: bytes) -> None:
        """Change what a JSON object names.

        Raises:
            pydantic.ValidationError: It names something else, or a value is wrong.
        """
        asked = Conditions.model_validate_json(text)
        for name in asked.model_fields_set:
            setattr(self, name, getattr(asked, name))
