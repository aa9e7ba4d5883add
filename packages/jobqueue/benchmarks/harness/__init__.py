"""Measures the queue beside its peers: what runs, where, how it is counted and how it is told."""
