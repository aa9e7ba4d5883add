"""Between the service and a store.

``operations`` applies rules (compare-and-set, retries, bells), ``kept_updates`` bridges an outage,
``read_cache`` answers ``get`` from memory, ``history`` knows how long operations of a kind take.
"""
