"""From settings to the parts of a running service."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ._common.clock import Clock, NewId
from ._common.lifecycle import Adapter
from .delivery import Parts
from .delivery.circuits import Circuits
from .delivery.limits import Limits
from .delivery.links import Links
from .directory import MemoryDirectory
from .errors import ConfigurationError, MissingExtraError
from .feeds import Feeds
from .models import NotificationChannel
from .outgoing import Sender
from .ports import (
    Backplane,
    Channel,
    NotificationStore,
    RecipientDirectory,
)
from .preferences import Layers
from .registry import backplane_for, channel_from_settings, store_from_url
from .settings import ChannelSettings, Settings
from .templates import Templates
from .validation import check_preferences

logger = logging.getLogger(__name__)


@dataclass
class Assembled:
    """The parts of a service in use.

    Attributes:
        store: Where notifications are kept.
        backplane: The doorbell between processes.
        feeds: The open live feeds.
        delivery: What the delivery workers need.
        sender: Who decides what is stored of a notification.
        known: The names of channels that may be asked for.
        adapters: What is closed, in this order.
        clock: Of the feeds.
    """

    store: NotificationStore
    backplane: Backplane
    feeds: Feeds
    delivery: Parts
    sender: Sender
    known: frozenset[str]
    adapters: tuple[Adapter, ...]
    clock: Clock

    def reset_feeds(self) -> None:
        """Forget who listened on another event loop."""
        self.feeds = Feeds(self.store, self.backplane, self.clock)


def assemble(
    settings: Settings,
    *,
    store: NotificationStore | None,
    backplane: Backplane | None,
    channels: Sequence[Channel],
    directory: RecipientDirectory | None,
    clock: Clock,
    rng: random.Random,
    new_id: NewId,
) -> Assembled:
    """Construct what the settings name and nobody gave; no I/O but reading templates.

    Raises:
        ConfigurationError: The settings cannot be followed.
        TemplateError: A template does not parse.
        MissingExtraError: The store's library is not installed.
    """
    table = settings.storage.table
    kept = store or store_from_url(settings.storage.url(), table=table)
    bell = backplane or backplane_for(kept, table=table, clock=clock)
    chains, missing = _chains(settings, channels)
    known = frozenset({*map(str, NotificationChannel), *chains})
    templates = _templates(settings)
    layers = Layers(settings.preferences)
    _check_names(settings, known)
    addresses = directory or MemoryDirectory()
    circuits = Circuits(settings.delivery.breaker_failures, settings.delivery.breaker_pause)
    parts = Parts(
        kept, chains, missing, addresses, layers, templates, settings.delivery, settings.rates,
        settings.base_url, clock, rng, circuits, Limits(settings.rates.providers, kept),
        Links(settings.unsubscribe),
    )  # fmt: skip
    every = [each for chain in chains.values() for each in chain]
    adapters: tuple[Adapter, ...] = (*every, addresses, bell, kept)
    sender, feeds = Sender(kept, parts, known, clock, new_id), Feeds(kept, bell, clock)
    return Assembled(kept, bell, feeds, parts, sender, known, adapters, clock)


def _chains(
    settings: Settings, given: Sequence[Channel]
) -> tuple[dict[str, list[Channel]], dict[str, str]]:
    chains: dict[str, list[Channel]] = {}
    for each in given:
        if not isinstance(each, Channel):
            raise ConfigurationError(f"channels are Channel objects, not {type(each).__name__}")
        if each.name == NotificationChannel.IN_APP:
            raise ConfigurationError("'in-app' is the inbox itself and takes no channel")
        chains.setdefault(each.name, []).append(each)
    missing: dict[str, str] = {}
    sections: dict[str, ChannelSettings | None] = {
        "email": settings.email, "push": settings.push, "sms": settings.sms,
    }  # fmt: skip
    for name, section in {**sections, **settings.channels}.items():
        if name == NotificationChannel.IN_APP or (name in sections and name in settings.channels):
            raise ConfigurationError(f"channels.{name} has a section of its own")
        if section is None or not section.enabled:
            continue
        for provider in (section, *section.failover):
            try:
                chains.setdefault(name, []).append(channel_from_settings(provider, name))
            except (ConfigurationError, MissingExtraError) as exc:
                # it loads, and says at its first use what is lacking
                missing[name] = str(exc)
    return {name: chain for name, chain in chains.items() if chain}, missing


def _templates(settings: Settings) -> Templates:
    own: dict[str, str] = {}
    email = settings.email
    if email is not None and email.enabled and email.template_dir is not None:
        own["email"] = email.template_dir
    made = Templates(settings.templates, own)
    made.check()
    return made


def _check_names(settings: Settings, known: frozenset[str]) -> None:
    try:
        check_preferences(settings.preferences.defaults(), known)
    except ValueError as exc:
        raise ConfigurationError(f"preferences.default: {exc}") from exc
    for name, rules in settings.preferences.categories.items():
        choices = rules.enabled if not isinstance(rules.enabled, bool) else {}
        for each in (*(rules.channels or ()), *choices):
            if each not in known:
                raise ConfigurationError(f"preferences.categories.{name}: unknown channel {each!r}")
