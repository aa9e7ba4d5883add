"""The web app: a user's inbox, links to unsubscribe, and what providers report."""

from .app import create_app

__all__ = ["create_app"]
