"""A stand-in for the `aws` resource provider, for Pulumi's real engine against the local account.

The engine asks a provider to check, compare, create, read, update and delete resources over gRPC.
The real `aws` provider does so on Amazon's endpoints; this one does the same for the resource types
that `infra/` uses, through boto3, on one given endpoint. `resource_types.py` lists those types.

Protocol: https://pulumi-developer-docs.readthedocs.io/latest/docs/architecture/providers/
"""
