"""The sales code location: small assets that people look at all day."""
