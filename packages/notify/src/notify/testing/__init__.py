"""What adapter authors and applications test with (extra ``testing``).

``NotificationStoreSuite``, ``BackplaneSuite`` and ``ChannelSuite`` are what every adapter passes:
subclass one, give its fixture, and skip nothing; what an adapter cannot do is declared in its
``capabilities``. ``FakeChannel`` stands for a provider with scripted outcomes, and the fixture
``outbox`` (``from notify.testing import outbox``) is a service in memory on a clock that stands
still.
"""

from .._common.clock import FakeClock, settle
from .backplanes import BackplaneSuite
from .channels import ChannelSuite
from .fakes import FakeChannel, Outbox, outbox
from .made import NOW, entry, message
from .stores import NotificationStoreSuite

__all__ = [
    "NOW",
    "BackplaneSuite",
    "ChannelSuite",
    "FakeChannel",
    "FakeClock",
    "NotificationStoreSuite",
    "Outbox",
    "entry",
    "message",
    "outbox",
    "settle",
]
