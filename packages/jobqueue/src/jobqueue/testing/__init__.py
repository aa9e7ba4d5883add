"""What adapter authors and applications test with (extra ``testing``).

``BrokerSuite`` is what every broker passes: subclass it, give the fixture ``broker`` (an empty
broker whose clock is the fixture ``clock``), and skip nothing; what a broker cannot do is declared
in its ``capabilities``.
"""

from .._common.clock import FakeClock, settle
from .brokers import BrokerSuite
from .made import LEASE, claim, finish, record

__all__ = ["LEASE", "BrokerSuite", "FakeClock", "claim", "finish", "record", "settle"]
