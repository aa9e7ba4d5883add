"""What happens to an upload, one module per step and library."""
