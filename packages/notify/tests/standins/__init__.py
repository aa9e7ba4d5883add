"""Stand-ins for providers: local servers that check each request as the published API does."""
