"""The service: what applications call, one module per topic."""

from .addresses import Addresses
from .live import Live
from .preferences import Preferences
from .topics import Topics

__all__ = ["NotificationService"]


class NotificationService(Topics, Live, Preferences, Addresses):
    """Sends notifications, keeps them, and delivers them over the channels that users want.

    Safe for several event loops and threads; subscribers are called where they subscribed.
    """
