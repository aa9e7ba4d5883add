"""Results that are told in full when they are asked."""

import copy
import dataclasses
import pickle

import pytest

from notify import Notification, NotificationService, SendResult
from notify.models import StoredResult


async def test_a_result_is_made_once_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with NotificationService.from_url("memory://") as service:
        made = await service.send(Notification(title="t", user_id="ann"))
        assert isinstance(made, StoredResult)
        calls = []
        make = made._make
        object.__setattr__(made, "_make", lambda: calls.append(1) or make())
        assert (made.id, made.ok, made.duplicate, made.error, calls) == (
            made.notification.id, True, False, None, [1],
        )  # fmt: skip
        assert made.notification is made.notification
        assert [each.channel for each in made.deliveries] == ["in-app"]
        assert calls == [1]


async def test_it_is_a_result_as_any_other() -> None:
    async with NotificationService.from_url("memory://") as service:
        [made] = await service.send_bulk([Notification(title="t", user_id="ann")])
    plain = SendResult(made.notification, made.deliveries, made.duplicate, made.error)
    assert (made, plain) == (plain, made)
    assert made != dataclasses.replace(made, duplicate=True)
    assert dataclasses.replace(made) == made
    assert pickle.loads(pickle.dumps(made)) == made == copy.deepcopy(made)
    assert dataclasses.asdict(made)["notification"]["title"] == "t"
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.duplicate = True  # type: ignore[misc]
    assert "title='t'" in repr(made)
