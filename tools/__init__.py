"""Tools of this checkout: the Pulumi CLI and the local deployment. Not part of the package."""
