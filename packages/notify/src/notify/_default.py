"""The service of the process, for applications that need only one."""

from typing import Final

from .service import NotificationService

notifications: Final = NotificationService()
