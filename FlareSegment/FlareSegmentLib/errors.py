"""Errors whose text is written for the person in front of the program.

Every message is a sentence (or two) that says what was found, what is needed and what to do.
"""


class FlareError(Exception):
    """Base of all errors that are shown to the user as they are."""


class InputError(FlareError):
    """A scan, label map, folder or argument that cannot be used."""


class NotCTError(InputError):
    """The input is readable but cannot be a CT volume."""


class BundleError(FlareError):
    """A model bundle that must be refused."""


class OutputError(FlareError):
    """A result that cannot be written where it was asked for."""


class DeviceError(FlareError):
    """The requested compute device is not there or cannot be used."""


class WorkerError(FlareError):
    """The child process that computes could not be started, crashed or hung."""


class Cancelled(FlareError):
    """The user asked to stop; nothing was changed."""
