"""Opening connections by drivers that lose cancellations."""

import asyncio

import pytest

from jobqueue._common.transports import opened


class _Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class _Connection:
    def __init__(self) -> None:
        self._transport = _Transport()


class _Driver:
    """Connects as ``asyncio.wait_for`` of Python 3.11 lets it: a late cancellation is lost."""

    def __init__(self) -> None:
        self.waits, self.made = asyncio.Event(), _Connection()

    async def connect(self, *, loses: bool) -> _Connection:
        try:
            self.waits.set()
            if loses:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return self.made


async def test_a_lost_cancellation_is_raised_and_its_connection_closed() -> None:
    driver = _Driver()
    task = asyncio.create_task(opened(driver.connect(loses=True)))
    await driver.waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert driver.made._transport.aborted


async def test_a_lost_time_limit_is_raised_too() -> None:
    driver = _Driver()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await opened(driver.connect(loses=True))
    assert driver.made._transport.aborted


async def test_cleaning_up_after_a_cancellation_may_connect() -> None:
    driver = _Driver()
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        assert await opened(driver.connect(loses=False)) is driver.made
    finally:
        task.uncancel()
    assert not driver.made._transport.aborted
