"""The research code location: few runs, heavy ones."""
