"""What the service answers: what became of a notification, and how it all stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .delivery import Delivery
from .notification import Notification

Make = Callable[[], tuple[Notification, tuple[Delivery, ...]]]
_set = object.__setattr__


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one notification.

    Attributes:
        notification: As it was stored, or as it was given if it was refused.
        deliveries: One per channel.
        duplicate: Whether it was there before, by its id or idempotency key.
        error: Why it was refused; only in the results of ``send_bulk``.
    """

    notification: Notification
    deliveries: tuple[Delivery, ...] = ()
    duplicate: bool = False
    error: Exception | None = None

    @property
    def id(self) -> str:
        """The id of the stored notification."""
        return self.notification.id

    @property
    def ok(self) -> bool:
        """Whether it is stored."""
        return self.error is None


class StoredResult(SendResult):
    """What became of a notification that is stored, told in full when it is first asked for.

    Who sends thousands looks at few: to make all of them takes as long as to check what is sent.
    """

    __slots__ = ("_id", "_make", "_told")
    _id: str
    _make: Make
    _told: "tuple[Notification, tuple[Delivery, ...]] | None"

    def __new__(cls, *given: Any, **fields: Any) -> SendResult:  # type: ignore[misc]
        """Return a plain result: ``dataclasses.replace`` makes one of this."""
        return SendResult(*given, **fields)

    @classmethod
    def of(cls, notification_id: str, make: Make, *, duplicate: bool) -> "StoredResult":
        """Return the result of the notification of that id; ``make`` is called once, if at all."""
        made = object.__new__(cls)
        _set(made, "_id", notification_id)
        _set(made, "_make", make)
        _set(made, "_told", None)
        _set(made, "duplicate", duplicate)
        _set(made, "error", None)
        return made

    # fields that are made late
    @property
    def notification(self) -> Notification:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As it was stored."""
        return self._whole[0]

    @property
    def deliveries(  # pyright: ignore[reportIncompatibleVariableOverride]
        self,
    ) -> tuple[Delivery, ...]:
        """One per channel."""
        return self._whole[1]

    @property
    def id(self) -> str:
        """The id of the stored notification."""
        return self._id

    @property
    def _whole(self) -> tuple[Notification, tuple[Delivery, ...]]:
        if (told := self._told) is None:
            told = self._make()
            object.__setattr__(self, "_told", told)
        return told

    def __eq__(self, other: object) -> bool:
        """Compare what is told; a result that was made at once may be equal."""
        return isinstance(other, SendResult) and _told(self) == _told(other)

    # as no result has: notifications hold mappings
    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[SendResult], tuple[object, ...]]:
        """Travel as a plain result."""
        return SendResult, _told(self)


def _told(result: SendResult) -> tuple[object, ...]:
    return result.notification, result.deliveries, result.duplicate, result.error


@dataclass(frozen=True, slots=True)
class NotificationStats:
    """How the service stands.

    Attributes:
        notifications: How many are stored.
        deliveries: How many are stored, by status.
        sent: Stored by this instance.
        attempts: Provider calls of this instance.
        failures: Those of them that failed.
        watchers: Open ``watch`` and ``subscribe`` streams of this instance.
        write_latency: Seconds of this instance's last store writes, a moving average.
    """

    notifications: int = 0
    deliveries: Mapping[str, int] = field(default_factory=dict)
    sent: int = 0
    attempts: int = 0
    failures: int = 0
    watchers: int = 0
    write_latency: float = 0.0
