"""Storages in buckets pass the suite, against emulators."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

pytest.importorskip("httpx")
pytest.importorskip("obstore")

from buckets import (
    AZURE_ACCOUNT,
    AZURE_KEY,
    azure_server,
    create_container,
    gcs_server,
    s3_client,
    s3_server,
)
from exporter.ports import Storage
from exporter.registry import storage_from_url
from exporter.testing import StorageSuite

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def gcs() -> Iterator[str]:
    with gcs_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with azure_server(tmp_path_factory.mktemp("azurite")) as endpoint:
        yield endpoint


class TestS3(StorageSuite):
    @pytest.fixture
    def storage(self, s3: str) -> Storage:
        bucket = f"b{uuid.uuid4().hex}"
        s3_client(s3).create_bucket(Bucket=bucket)
        secret = quote("secret/of+tests", safe="")
        return storage_from_url(
            f"s3://key:{secret}@{bucket}/pre/fix?region=us-east-1&endpoint={quote(s3, safe='')}"
        )


class TestGCS(StorageSuite):
    @pytest.fixture
    def storage(self, gcs: str) -> Storage:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        bucket = f"b{uuid.uuid4().hex}"
        with closing(
            Client("tests", AnonymousCredentials(), client_options={"api_endpoint": gcs})
        ) as client:
            client.create_bucket(bucket)
        return storage_from_url(
            f"gs://{bucket}/pre/fix?anonymous=on&endpoint={quote(gcs, safe='')}"
        )


class TestAzure(StorageSuite):
    @pytest.fixture
    def storage(self, azure: str) -> Storage:
        container = f"c{uuid.uuid4().hex}"
        endpoint = f"{azure}/{AZURE_ACCOUNT}"
        create_container(endpoint, container)
        return storage_from_url(
            f"az://{AZURE_ACCOUNT}:{quote(AZURE_KEY, safe='')}@{container}/pre/fix"
            f"?endpoint={quote(endpoint, safe='')}"
        )
