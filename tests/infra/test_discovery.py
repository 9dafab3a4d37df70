from tests.infra.program import TAGS, default, run


def test_namespace_is_private_to_the_vpc() -> None:
    assert default().inputs("servicediscovery/privateDnsNamespace", "namespace") == {
        "name": "prod.run-isolation.internal",
        "vpc": "vpc-id",
        "description": "run-isolation: standing containers of code locations",
        "tags": TAGS,
    }


def test_two_stacks_have_namespaces_of_their_own() -> None:
    namespace = run(stack="test").inputs("servicediscovery/privateDnsNamespace", "namespace")
    assert namespace["name"] == "test.run-isolation.internal"
