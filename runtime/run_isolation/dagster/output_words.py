"""How errors about an output of a run name it, and what they advise."""

from __future__ import annotations

from dagster import InputContext, OutputContext


def named(context: InputContext | OutputContext) -> str:
    """The output that is kept, or that an input is read from."""
    if context.has_asset_key:
        return f"Asset {context.asset_key.to_user_string()}"
    run_id, step_key, output, *mapped = context.get_identifier()
    return f"Output {'/'.join((output, *mapped))} of step {step_key} in run {run_id}"


def again(context: InputContext | OutputContext) -> str:
    """What makes an output that is missing."""
    if context.has_asset_key:
        return "Materialize it, and launch this run again."
    return "Execute this run again from the beginning."
