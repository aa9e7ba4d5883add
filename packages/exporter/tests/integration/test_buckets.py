"""Buckets: uploads in parts, cuts, and links whose signatures are computed anew."""

import asyncio
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httpx
import pytest

from buckets import (
    AZURE_ACCOUNT,
    AZURE_KEY,
    Cutter,
    azure_server,
    create_container,
    gcs_server,
    s3_client,
    s3_server,
)
from exporter import ConfigurationError, ExportService, ExportSource, StorageError
from exporter.asgi import create_app
from exporter.ports import Storage
from exporter.registry import storage_from_url

pytestmark = pytest.mark.integration
PART = 8 << 20
SECRET = "secret/of+tests"
ROWS = {"rows": [{"a": 1}]}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def gcs() -> Iterator[str]:
    with gcs_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: str) -> str:
    name = f"b{uuid.uuid4().hex}"
    s3_client(s3).create_bucket(Bucket=name)
    return name


def s3_url(bucket: str, endpoint: str) -> str:
    options = f"region=us-east-1&endpoint={quote(endpoint, safe='')}"
    return f"s3://key:{quote(SECRET, safe='')}@{bucket}/out?{options}"


def google_account(folder: Path) -> str:
    """Write the file of a service account that nobody has, and return its path."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    forms = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    ).decode()
    account = {
        "type": "service_account",
        "project_id": "tests",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "exports@tests.example",
        "token_uri": "https://localhost.invalid/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(account))
    return str(path)


def gcs_bucket(endpoint: str) -> str:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    name = f"b{uuid.uuid4().hex}"
    options = {"api_endpoint": endpoint}
    with closing(Client("tests", AnonymousCredentials(), client_options=options)) as client:
        client.create_bucket(name)
    return name


@pytest.fixture(params=["s3", "gcs"])
def storage(request: pytest.FixtureRequest) -> Storage:
    if request.param == "s3":
        bucket = request.getfixturevalue("bucket")
        return storage_from_url(s3_url(bucket, request.getfixturevalue("s3")))
    endpoint = request.getfixturevalue("gcs")
    options = f"anonymous=on&endpoint={quote(endpoint, safe='')}"
    return storage_from_url(f"gs://{gcs_bucket(endpoint)}/out?{options}")


async def whole(storage: Storage, key: str) -> bytes:
    return b"".join([block async for block in storage.read(key)])


def put(storage: Storage, key: str, data: bytes, *, commit: bool = True) -> None:
    with storage.open_writer(key, "application/octet-stream") as writer:
        for at in range(0, len(data), 1 << 20):
            writer.write(data[at : at + (1 << 20)])
        if commit:
            writer.commit()


@pytest.mark.parametrize("size", [PART, PART + 1, 2 * PART, 2 * PART + 77])
async def test_sizes_around_the_parts(storage: Storage, size: int) -> None:
    data = os.urandom(1 << 16) * (size // (1 << 16) + 1)
    await asyncio.to_thread(put, storage, "k/f.bin", data[:size])
    assert await whole(storage, "k/f.bin") == data[:size]
    assert [found.size async for found in storage.list_keys()] == [size]
    await storage.aclose()


async def test_a_broken_off_upload_leaves_the_earlier_file(storage: Storage) -> None:
    await asyncio.to_thread(put, storage, "k/f.bin", b"first")
    await asyncio.to_thread(put, storage, "k/f.bin", bytes(3 * PART), commit=False)
    await asyncio.to_thread(put, storage, "k/new.bin", bytes(3 * PART), commit=False)
    assert [(found.key, found.size) async for found in storage.list_keys()] == [("k/f.bin", 5)]
    assert await whole(storage, "k/f.bin") == b"first"
    await storage.aclose()


async def test_the_parts_of_a_broken_off_upload_are_deleted(s3: str, bucket: str) -> None:
    storage = storage_from_url(s3_url(bucket, s3))
    with storage.open_writer("k/f.bin", "text/plain") as writer:
        writer.write(bytes(3 * PART))
        # the second part is taken when the upload has begun
        assert await storage.head("k/f.bin") is None
    assert "Uploads" not in s3_client(s3).list_multipart_uploads(Bucket=bucket)


async def test_a_killed_writer_leaves_no_object(s3: str, bucket: str) -> None:
    program = """
        import os, signal, sys
        from exporter.registry import storage_from_url
        writer = storage_from_url(sys.argv[1]).open_writer("k/f.bin", "text/plain")
        writer.write(bytes(5 * (8 << 20)))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), s3_url(bucket, s3)]
    done = await asyncio.to_thread(subprocess.run, command, check=False)
    assert done.returncode == -signal.SIGKILL
    client = s3_client(s3)
    assert "Uploads" in client.list_multipart_uploads(Bucket=bucket), "it was killed too early"
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


async def test_a_connection_cut_once_is_repeated(s3: str, bucket: str) -> None:
    data = os.urandom(1 << 16) * 400
    with Cutter(s3, after=PART + 1_000_000, times=1) as cutter:
        storage = storage_from_url(s3_url(bucket, cutter.url))
        await asyncio.to_thread(put, storage, "k/f.bin", data)
        assert cutter.cuts == 1
        assert await whole(storage, "k/f.bin") == data


async def test_a_lost_connection_is_a_failed_job_and_no_object(s3: str, bucket: str) -> None:
    source = ExportSource("custom", "1", {"rows": [{"a": "x" * 1_000_000}] * 30})
    with Cutter(s3, after=PART + 1_000_000, times=1000) as cutter:
        async with ExportService.from_url(s3_url(bucket, cutter.url)) as service:
            job = await service.wait((await service.export(source, "csv")).id, 60)
            assert job.status == "failed", job
            assert SECRET not in str(job.error)
        assert cutter.cuts > 1
    assert "Contents" not in s3_client(s3).list_objects_v2(Bucket=bucket)


async def test_a_lost_connection_to_google(gcs: str) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    from exporter.adapters.storages.gcs import GCSStorage

    bucket = gcs_bucket(gcs)
    with Cutter(gcs, after=PART + 1_000_000, times=1000) as cutter:
        options = {"api_endpoint": cutter.url}
        with closing(Client("tests", AnonymousCredentials(), client_options=options)) as client:
            storage = GCSStorage(bucket, client=client, retry_timeout=1.0)
            with pytest.raises(StorageError) as caught:
                await asyncio.to_thread(put, storage, "k/f.bin", bytes(4 * PART))
            assert caught.value.retryable
    options = {"api_endpoint": gcs}
    with closing(Client("tests", AnonymousCredentials(), client_options=options)) as client:
        assert list(client.list_blobs(bucket)) == []


async def test_a_bucket_that_is_not_there(request: pytest.FixtureRequest) -> None:
    urls = [s3_url("nobodys-bucket", request.getfixturevalue("s3"))]
    endpoint = quote(request.getfixturevalue("gcs"), safe="")
    urls.append(f"gs://nobodys-bucket/out?anonymous=on&endpoint={endpoint}")
    for url in urls:
        storage = storage_from_url(url)
        for size in (1, 3 * PART):
            with pytest.raises(StorageError, match="bucket does not exist"):
                await asyncio.to_thread(put, storage, "k/f.bin", bytes(size))
        with pytest.raises(StorageError, match="no file"):
            await whole(storage, "k/f.bin")
        await storage.aclose()


# -- links ---------------------------------------------------------------------------------------


def signature_v4(url: str, secret: str) -> str:
    """Compute the signature of a presigned URL: AWS Signature Version 4, "Query parameters"."""
    parts = urlsplit(url)
    given = [(k, v) for k, v in parse_qsl(parts.query) if k != "X-Amz-Signature"]
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(given))
    path = quote(unquote(parts.path), safe="/-_.~")
    request = f"GET\n{path}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    fields = dict(given)
    scope = fields["X-Amz-Credential"].split("/", 1)[1]
    digest = hashlib.sha256(request.encode()).hexdigest()
    signed = f"AWS4-HMAC-SHA256\n{fields['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, signed.encode(), "sha256").hex()


async def test_links_of_s3(s3: str, bucket: str) -> None:
    async with ExportService.from_url(s3_url(bucket, s3)) as service:
        job = await service.export(ExportSource("custom", "1", ROWS), "csv", filename="今 a+b")
        await service.wait(job.id, 60)
        url = await service.storage_link(job.id, 77)
        fields = dict(parse_qsl(urlsplit(url).query))
        assert fields["X-Amz-Expires"] == "77"
        assert fields["X-Amz-Signature"] == signature_v4(url, SECRET)
        assert SECRET not in url
        async with httpx.AsyncClient() as client:
            answer = await client.get(url)
        assert answer.content == await service.download(job.id)
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment;")
        assert quote("今 a+b.csv", safe="") in disposition
        for ttl in (0, 604_801, float("nan"), "60"):
            with pytest.raises(ConfigurationError, match="ttl must be"):
                await service.storage_link(job.id, ttl)  # type: ignore[arg-type]  what is tested


def google_signature_fits(url: str, account: dict[str, str]) -> bool:
    """Check a V4 signed URL with the account's public key (GOOG4-RSA-SHA256)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    parts = urlsplit(url)
    given = [(k, v) for k, v in parse_qsl(parts.query) if k.lower() != "x-goog-signature"]
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(given))
    fields = {key.lower(): value for key, value in parse_qsl(parts.query)}
    request = f"GET\n{parts.path}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = fields["x-goog-credential"].split("/", 1)[1]
    digest = hashlib.sha256(request.encode()).hexdigest()
    signed = f"GOOG4-RSA-SHA256\n{fields['x-goog-date']}\n{scope}\n{digest}"
    key: Any = serialization.load_pem_private_key(account["private_key"].encode(), None)
    try:
        key.public_key().verify(
            bytes.fromhex(fields["x-goog-signature"]), signed.encode(),
            padding.PKCS1v15(), hashes.SHA256(),
        )  # fmt: skip
    except InvalidSignature:
        return False
    return True


async def test_links_of_google(gcs: str, tmp_path: Path) -> None:
    path = google_account(tmp_path)
    options = f"credentials={quote(path, safe='')}&endpoint={quote(gcs, safe='')}"
    storage = storage_from_url(f"gs://some-bucket/out?{options}")
    url = await storage.sign("k/今 a.csv", 77)
    account = json.loads(Path(path).read_text())
    fields = {key.lower(): value for key, value in parse_qsl(urlsplit(url).query)}
    assert fields["x-goog-expires"] == "77"
    assert google_signature_fits(url, account)
    assert not google_signature_fits(url.replace("=77", "=78"), account)
    await storage.aclose()


async def test_google_without_a_key_signs_nothing(gcs: str) -> None:
    options = f"anonymous=on&endpoint={quote(gcs, safe='')}"
    storage = storage_from_url(f"gs://some-bucket?{options}")
    with pytest.raises(ConfigurationError, match="private key of a service account"):
        await storage.sign("k/a.csv", 60)
    await storage.aclose()


async def test_links_of_azure(tmp_path: Path) -> None:
    """Azurite checks signatures by itself."""
    with azure_server(tmp_path) as azure:
        endpoint = f"{azure}/{AZURE_ACCOUNT}"
        create_container(endpoint, "files")
        account = f"{AZURE_ACCOUNT}:{quote(AZURE_KEY, safe='')}"
        storage = storage_from_url(f"az://{account}@files?endpoint={quote(endpoint, safe='')}")
        data = bytes(range(256)) * 90_000
        await asyncio.to_thread(put, storage, "k/f.bin", data)
        url = await storage.sign("k/f.bin", 60)
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).content == data
            forged = re.sub("sig=.", lambda f: "sig=A" if f[0] != "sig=A" else "sig=B", url)
            assert (await client.get(forged)).status_code == 403
        with storage.open_writer("k/new.bin", "text/plain") as writer:
            writer.write(bytes(3 * PART))
        assert [found.key async for found in storage.list_keys()] == ["k/f.bin"]


async def test_the_app_sends_on_to_the_store(s3: str, bucket: str) -> None:
    settings = {
        "storage": {"url": s3_url(bucket, s3).replace("$", "$$"), "public_url": "https://x/files"},
        "downloads": {"signing_keys": {"k": "s" * 32}, "redirect": True},
    }
    async with ExportService() as service:
        service.configure(settings)
        app = create_app(service, authenticate=lambda c: c.headers.get("user"))
        job = await service.export(ExportSource("custom", "1", ROWS), "csv", user_id="ann")
        await service.wait(job.id, 60)
        path = (await service.link(job.id)).removeprefix("https://x")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            for answer in (
                await client.get(path),
                await client.get(f"/exports/{job.id}/file", headers={"user": "ann"}),
            ):
                assert answer.status_code == 307
                assert answer.headers["cache-control"] == "private, no-store"
                url = answer.headers["location"]
                fields = dict(parse_qsl(urlsplit(url).query))
                assert fields["X-Amz-Signature"] == signature_v4(url, SECRET)
                assert fields["X-Amz-Expires"] == "300"
            other = await client.get(f"/exports/{job.id}/file", headers={"user": "bob"})
            assert other.status_code == 404
            assert (await client.head(path)).status_code == 200
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).content == await service.download(job.id)
