"""The servers of the fan-out and the storm, each an ASGI application named ``app``.

``POST /go?mark=TEXT`` sends one message that holds the text to every client.
"""
