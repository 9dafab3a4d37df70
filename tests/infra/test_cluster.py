from tests.infra.program import TAGS, default


def test_cluster_measures_each_task() -> None:
    assert default().inputs("ecs/cluster", "cluster") == {
        "name": "run-isolation-prod",
        "settings": [{"name": "containerInsights", "value": "enhanced"}],
        "tags": TAGS,
    }


def test_cluster_has_both_kinds_of_fargate_and_prefers_none() -> None:
    assert default().inputs("ecs/clusterCapacityProviders", "cluster") == {
        "clusterName": "run-isolation-prod",
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
    }
