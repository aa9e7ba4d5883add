"""How changes reach who watches: ``topics`` for ``watch``, ``subscriptions`` for callbacks."""
