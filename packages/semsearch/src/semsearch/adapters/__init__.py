"""Stores, indexes and embedders, one module per technology; imported when they are chosen."""
