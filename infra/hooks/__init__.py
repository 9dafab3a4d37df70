"""What Pulumi does around its own steps, through AWS's API.

``hooks`` lists them. ``one_rollout`` waits for one standing container to come up, ``all_rollouts``
for all that an `up` has changed; ``leftover_service`` removes what a killed `up` has left, and
``old_revisions`` the task definitions of a code location that is gone.
"""
