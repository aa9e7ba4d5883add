"""Words: tokens and stems by language, and highlighted passages."""
