"""The service: what applications call, one module per topic."""

from .live import Live
from .preferences import Preferences
from .sending import Sending

__all__ = ["NotificationService"]


class NotificationService(Sending, Live, Preferences):
    """Sends notifications, keeps them, and delivers them over the channels that users want.

    Safe for several event loops and threads; subscribers are called where they subscribed.
    """
