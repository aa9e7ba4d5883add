"""Parts of notify's pages that are made from its code.

An adapter that the registry knows and nobody describes here fails the build.
"""

from typing import Any

from docutils import nodes
from jobqueue_pages import AdaptersPage, Page, settings_of
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


class StoresDirective(AdaptersPage):
    """Where notifications are kept."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from notify.ports import Capabilities
        from notify.registry import STORES as PLUGINS

        return self.page(PLUGINS, STORES, Capabilities, ("durable", "shared", "transactional"))


class ChannelsDirective(AdaptersPage):
    """How they reach people."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from notify.ports import Capabilities
        from notify.registry import CHANNELS as PLUGINS

        return self.page(PLUGINS, CHANNELS, Capabilities, ("attachments", "idempotent"))


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
