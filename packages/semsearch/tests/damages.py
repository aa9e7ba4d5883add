"""What may become of a file beside an index."""

from collections.abc import Callable, Sequence

DAMAGES: Sequence[Callable[[bytes], bytes]] = [
    lambda raw: b"",
    lambda raw: raw[:-1],
    lambda raw: raw[: len(raw) // 2],
    lambda raw: raw + b"x",
    lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
    lambda raw: raw[:100] + bytes([raw[100] ^ 1]) + raw[101:],
    lambda raw: b"\x80\x04" + raw,
]
