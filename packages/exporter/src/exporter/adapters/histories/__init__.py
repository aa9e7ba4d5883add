"""Where the list of exports is kept."""
