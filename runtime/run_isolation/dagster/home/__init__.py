"""The Dagster home of the deployment's processes.

``dagster_yaml`` is what ``dagster.yaml`` says, ``files`` writes it and ``workspace.yaml`` beside
what is the user's in them, and ``workspace_watch`` keeps the latter in step with the manifest.
"""
