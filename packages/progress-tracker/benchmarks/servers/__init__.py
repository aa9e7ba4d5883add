"""The servers of the fan-out, each an ASGI application named ``app`` that uvicorn runs.

``POST /go?mark=TEXT`` sends one message that holds the text to every client.
"""
