"""The port behind the queue: a broker stores jobs and hands them to workers."""

from .brokers import Broker, Capabilities
from .outboxes import Outbox
from .records import FORMAT, Enqueued, Lease, Limit, Outcome, Record, Step, WorkerCall

__all__ = [
    "FORMAT",
    "Broker",
    "Capabilities",
    "Enqueued",
    "Lease",
    "Limit",
    "Outbox",
    "Outcome",
    "Record",
    "Step",
    "WorkerCall",
]
