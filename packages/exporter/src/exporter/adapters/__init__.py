"""Adapters: one module per format, storage and history."""
