"""The built-in formats, each a streaming renderer."""
