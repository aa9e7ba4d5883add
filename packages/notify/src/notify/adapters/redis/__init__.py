"""Redis 6.2 or newer, or Valkey: a store and a doorbell."""
