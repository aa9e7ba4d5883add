"""Takes every request: ``python http_sink.py PORT``."""

import sys

import uvicorn


async def app(scope, receive, send) -> None:
    while (await receive()).get("more_body"):
        pass
    headers = [(b"x-message-id", b"1"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", lifespan="off")
