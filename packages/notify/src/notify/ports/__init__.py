"""The ports: where notifications are kept, how processes wake each other, who delivers to whom."""

from .backplanes import Backplane
from .capabilities import Capabilities
from .channels import Channel, Message
from .directories import RecipientDirectory
from .stores import NotificationStore

__all__ = [
    "Backplane",
    "Capabilities",
    "Channel",
    "Message",
    "NotificationStore",
    "RecipientDirectory",
]
