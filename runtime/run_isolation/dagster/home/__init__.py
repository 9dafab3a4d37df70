"""The Dagster home of the deployment's processes, written from its instance.

``own_home`` writes that of a task; ``merge`` that of webserver and daemon, with what is the user's
in it, and ``workspace.yaml`` beside it, which ``workspace_watch`` keeps in step with the manifest.
``this_dagster`` fits ``dagster.yaml`` to the version of Dagster that is there.
"""
