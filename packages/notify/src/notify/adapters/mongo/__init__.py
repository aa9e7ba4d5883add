"""MongoDB: a store."""
