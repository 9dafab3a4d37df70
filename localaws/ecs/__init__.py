"""The ECS data plane: tasks and services as operating system processes."""
