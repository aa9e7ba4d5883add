"""Template engines, one module each; chosen by the registry."""
