"""Glue to what applications run beside the queue."""
