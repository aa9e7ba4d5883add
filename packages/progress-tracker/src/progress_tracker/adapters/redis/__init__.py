"""Redis 6.2 or newer, or Valkey: a store whose every method is one script, and a backplane."""
