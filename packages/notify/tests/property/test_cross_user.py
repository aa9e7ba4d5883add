"""Over random pairs of users, nobody reads, changes or hears what is another's."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from notify import Notification, NotificationNotFound, NotificationService

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12)
CALLS = ["get", "mark_as_read", "archive", "delete", "deliveries", "explain"]


@settings(max_examples=60)
@given(
    st.lists(NAMES, min_size=2, max_size=4, unique=True),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from(CALLS)), max_size=15),
)
def test_nobody_reaches_anothers(users, steps) -> None:
    async def main() -> None:
        async with NotificationService.from_url("memory://") as service:
            ids = {
                user: (await service.send(Notification(title="t", user_id=user))).id
                for user in users
            }
            for whose, by, call in steps:
                owner, caller = users[whose % len(users)], users[by % len(users)]
                if owner == caller:
                    continue
                before = await service.unread_count(owner)
                try:
                    await getattr(service, call)(ids[owner], caller)
                except NotificationNotFound:
                    pass
                else:
                    raise AssertionError(call)
                assert await service.unread_count(owner) == before
            for user in users:
                page = await service.get_user_notifications(user)
                assert [each.id for each in page] == [ids[user]]
                stream = service.watch(user, 0)
                event = await anext(stream)
                assert event.notification is not None
                assert event.notification.user_id == user
                await stream.aclose()

    asyncio.run(main())
