"""One module for each technology; the registry imports them when they are chosen."""
