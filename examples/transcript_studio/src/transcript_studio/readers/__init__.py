"""Reads transcripts that others have made: SRT, VTT, plain text and Whisper's JSON.

Whatever a file holds, the outcome is a `Transcript` or an `UnreadableFile`. Parsers are tolerant of
what people's programs write and strict about sizes, as uploads come from strangers.
"""

from .files import MAX_TRANSCRIPT_BYTES, read_transcript

__all__ = ["MAX_TRANSCRIPT_BYTES", "read_transcript"]
