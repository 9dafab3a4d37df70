"""The Pulumi program: what a deployment has in AWS. One component per module."""
