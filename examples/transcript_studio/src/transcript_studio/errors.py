"""Errors raised by transcript_studio.

StudioError
├── UnreadableFile (also ValueError)          what was handed in is not a recording or transcript
├── BadProfile (also ValueError)             what is named is no place for the data
├── CannotServe                               the page cannot be offered at an address
├── FileError                                 a file could not be made; the message says why
│   └── ArchiveError                          nor a ZIP
├── BadCursor (also ValueError)              a place in a list that no page has named
├── BadEdit (also ValueError)                 a change of a transcript cannot be made
├── EditConflict                              somebody else has changed the transcript meanwhile
├── Interrupted                               a worker was stopped in the middle; the job runs again
├── TranscriberNotFound (also LookupError)    no speech recogniser of that name
├── MissingTranscriberError (also ImportError) the recogniser's package is not installed
└── TranscriptionError                        the recogniser itself failed; see __cause__
"""


class StudioError(Exception):
    """The root: catch it to catch everything that the studio raises on purpose."""


class UnreadableFile(StudioError, ValueError):
    """A file cannot be taken in; the message names the file, the reason and what to do."""


class BadProfile(StudioError, ValueError):
    """A profile is unknown, or lacks something, or its folder cannot be; the message says what."""


class CannotServe(StudioError):
    """Nothing can listen at an address; the message says why and what to do."""


class FileError(StudioError):
    """A file could not be made, for now at least; the message says why."""


class ArchiveError(FileError):
    """A ZIP could not be made; the message says why."""


class BadCursor(StudioError, ValueError):
    """A list was asked to go on where no page of it has ended; begin it anew."""


class BadEdit(StudioError, ValueError):
    """A change of a transcript cannot be made; the message says why."""


class EditConflict(StudioError):
    """The transcript was changed meanwhile: load it again, nothing was written."""


class Interrupted(StudioError):
    """This worker was stopped in the middle of a job, which runs again: nobody needs to act."""


class TranscriberNotFound(StudioError, LookupError):
    """No transcriber has that name; the message lists those that exist."""


class MissingTranscriberError(StudioError, ImportError):
    """The package behind a transcriber is not installed; the message says how to install it."""


class TranscriptionError(StudioError):
    """The speech recogniser failed; its own exception is the ``__cause__``."""
