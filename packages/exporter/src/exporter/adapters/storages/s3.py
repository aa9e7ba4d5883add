"""Files in a bucket of Amazon S3, or of a store that speaks its protocol."""

from typing import Any, ClassVar

from ..._common.urls import flag
from .locations import Location, located
from .objects import ObjectStorage, store_of

_OPTIONS = frozenset({"region", "endpoint", "path_style"})


class S3Storage(ObjectStorage):
    """A bucket of S3 (MinIO, R2, ...), through ``obstore``; see :class:`ObjectStorage`.

    Links that S3 signs live for at most seven days, and no longer than the credentials that
    signed them.
    """

    extra: ClassVar[str] = "s3"

    @classmethod
    def from_url(cls, url: str) -> "S3Storage":
        """Return the storage of ``s3://bucket/prefix?region=eu-west-1``.

        Credentials come from the environment and the machine's role as ``AWS_…`` tools find them,
        or stand in the URL: ``s3://key-id:secret@bucket``. Options: ``region``; ``endpoint``, the
        URL of another store than Amazon's; ``path_style`` (on with an endpoint), which writes the
        bucket into the path.

        Raises:
            ConfigurationError: The URL has no bucket or an unknown option.
            MissingExtraError: obstore is not installed.
        """
        place = located(url, _OPTIONS, example="s3://bucket/prefix")
        return cls(store_of("S3Store", place, cls.extra, **_config(place)))


def _config(place: Location) -> dict[str, Any]:
    endpoint = place.options.get("endpoint")
    config: dict[str, Any] = {
        "virtual_hosted_style_request": not flag(
            place.options, "path_style", default=endpoint is not None
        )
    }
    if place.user is not None:
        config |= {"access_key_id": place.user, "secret_access_key": place.password or ""}
    if region := place.options.get("region"):
        config["region"] = region
    if endpoint is not None:
        config |= {"endpoint": endpoint, "client_options": place.client_options()}
    return config
