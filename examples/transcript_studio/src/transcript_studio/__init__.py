"""A speech-to-text application made of the six libraries of this repository."""
