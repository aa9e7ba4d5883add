"""Files in a container of Azure Blob Storage."""

from typing import Any, ClassVar

from .locations import located
from .objects import ObjectStorage, store_of

_OPTIONS = frozenset({"account", "endpoint"})


class AzureStorage(ObjectStorage):
    """A container of Azure Blob Storage, through ``obstore``; see :class:`ObjectStorage`."""

    extra: ClassVar[str] = "azure"

    @classmethod
    def from_url(cls, url: str) -> "AzureStorage":
        """Return the storage of ``az://container/prefix?account=name``.

        Credentials come from the environment as ``AZURE_STORAGE_…`` tools find them, or stand in
        the URL: ``az://account:key@container``. Options: ``account``; ``endpoint``, the URL of
        another store than Azure's, with the account in its path.

        Raises:
            ConfigurationError: The URL has no container or an unknown option, or no account is
                known.
            MissingExtraError: obstore is not installed.
        """
        place = located(url, _OPTIONS, example="az://container/prefix")
        config: dict[str, Any] = {}
        if place.user is not None:
            config |= {"account_name": place.user, "account_key": place.password or ""}
        elif account := place.options.get("account"):
            config["account_name"] = account
        if endpoint := place.options.get("endpoint"):
            config |= {"endpoint": endpoint, "client_options": place.client_options()}
        return cls(store_of("AzureStore", place, cls.extra, **config))
