"""The outbox: it keeps jobs in the application's database until they are handed over."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection
from .brokers import Broker
from .records import Enqueued, Record


class Outbox(ABC):
    """Keeps jobs in the application's database until they are handed to a broker elsewhere."""

    @abstractmethod
    def insert(self, connection: "Connection", records: Sequence[Record]) -> Sequence[Enqueued]:
        """Note ``records`` within the transaction of a SQLAlchemy connection.

        Called on the caller's thread; neither commits nor rolls back. Whether an id or key is
        taken turns out when the jobs are relayed.
        """

    @abstractmethod
    async def relay(self, broker: Broker) -> int:
        """Hand the oldest committed jobs to ``broker``, once each; return how many there were.

        Any number of relays may run. A job whose key is held is dropped; one whose id belongs to a
        job of other content, or that depends on an unknown job, is kept and marked; all is logged.
        """

    async def setup(self) -> None:
        """Create or upgrade the table."""

    def schema_sql(self) -> str:
        """Return the schema as SQL."""
        return ""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
