"""A web application that asks its slow database once: tiered-cache with FastAPI.

As a server: ``uvicorn fastapi_cache:app``. Run as a program, it asks itself and prints what came.
"""

import asyncio
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, HTTPException

from tiered_cache import CacheProvider
from tiered_cache.integrations.fastapi import lifespan, provide

cache = CacheProvider.from_url("memory://")  # or redis://…, shared by all processes
app = FastAPI(lifespan=lifespan(cache))
Cache = Annotated[CacheProvider, Depends(provide(cache))]
users = {1: "Ada", 2: "Béla"}
asked: list[int] = []


@cache.cached(300, key="user:{user_id}", tags=["users", "user:{user_id}"])
async def load_user(user_id: int) -> dict[str, str] | None:
    """Read a user from the database; of many callers at once one does, and all get its answer."""
    asked.append(user_id)
    await asyncio.sleep(0.01)  # the database
    return {"name": users[user_id]} if user_id in users else None


@app.get("/users/{user_id}")
async def read_user(user_id: int) -> dict[str, str]:
    """Answer from the cache."""
    found = await load_user(user_id)
    if found is None:
        raise HTTPException(404)
    return found


@app.put("/users/{user_id}")
async def rename_user(user_id: int, name: str, cache: Cache) -> None:
    """Change the database, then make the old value a miss in every process."""
    users[user_id] = name
    await cache.invalidate([f"user:{user_id}"])


async def main() -> None:
    """Ask for a user a hundred times, rename it, ask again."""
    transport = httpx.ASGITransport(app=app)
    async with cache, httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answers = await asyncio.gather(*(client.get("/users/1") for _ in range(100)))
        print(f"{len(answers)} requests, {len(asked)} question to the database")
        await client.put("/users/1", params={"name": "Ada Lovelace"})
        print((await client.get("/users/1")).json()["name"])
        print((await client.get("/users/3")).status_code)


if __name__ == "__main__":
    asyncio.run(main())
