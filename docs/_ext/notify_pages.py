"""Parts of notify's pages that are made from its code.

An adapter that the registry knows and nobody describes here fails the build.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docutils import nodes
from jobqueue_pages import Page, Row, attributes, settings_of
from sphinx.application import Sphinx

STAND_IN = "a stand-in that checks requests as the published API does"
STORES = {
    "MemoryStore": "itself",
    "SQLStore": "real SQLite and PostgreSQL 18",
    "MySQLStore": "real MariaDB 10.11",
    "RedisStore": "real Redis 6.2 and 7.0",
    "MongoStore": "a stand-in (mongomock); a server only where `MONGODB_URL` names one",
}
CHANNELS = {
    "SMTPChannel": "aiosmtpd, a real server, with TLS and every kind of refusal",
    "ConsoleChannel": "itself",
    "SendGridChannel": STAND_IN,
    "SESChannel": f"moto's server, and {STAND_IN}",
    "MailgunChannel": STAND_IN,
    "FCMChannel": STAND_IN,
    "OneSignalChannel": STAND_IN,
    "WebPushChannel": f"{STAND_IN}; messages decrypted by http_ece",
    "TwilioChannel": STAND_IN,
    "SNSChannel": f"moto's server, and {STAND_IN}",
    "WebhookChannel": "a real server that checks signatures",
    "AppriseChannel": "the real library",
}


def classes(plugins: Any, known: Mapping[str, Any]) -> dict[type[Any], list[str]]:
    """Return the adapters of a port with their names; one that is not described is an error."""
    found: dict[type[Any], list[str]] = {}
    for name in plugins.names():
        found.setdefault(plugins.load(name), []).append(name)
    if missing := {kind.__name__ for kind in found} ^ known.keys():
        raise LookupError(f"described, or registered, but not both: {sorted(missing)}")
    return found


class Adapters(Page):
    """What the adapters of a port can do, by their classes."""

    def page(
        self, plugins: Any, known: Mapping[str, str], names: Sequence[str]
    ) -> list[nodes.Node]:
        """Return the table and what its columns mean."""
        from notify.ports import Capabilities

        described = attributes(Capabilities)

        def rows() -> Iterator[Row]:
            for kind, schemes in classes(plugins, known).items():
                marks = ["yes" if getattr(kind.capabilities, name) else "-" for name in names]
                yield " ".join(f"`{each}`" for each in schemes), *marks, known[kind.__name__]

        head = ("name", *(f"`{name}`" for name in names), "tested with")
        legend = "\n".join(f"- `{name}`: {described[name]}" for name in names)
        return [*self.table(head, rows()), *self.parse_text_to_nodes(legend)]


class StoresDirective(Adapters):
    """Where notifications are kept."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from notify.registry import STORES as PLUGINS

        return self.page(PLUGINS, STORES, ("durable", "shared", "transactional"))


class ChannelsDirective(Adapters):
    """How they reach people."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from notify.registry import CHANNELS as PLUGINS

        return self.page(PLUGINS, CHANNELS, ("attachments", "idempotent"))


class SettingsDirective(Page):
    """Every setting with its default, range and meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from notify import Settings

        return self.table(("key", "default", "range", "meaning"), settings_of(Settings, ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("notify-stores", StoresDirective)
    app.add_directive("notify-channels", ChannelsDirective)
    app.add_directive("notify-settings", SettingsDirective)
    return {"version": "1", "parallel_read_safe": True}
