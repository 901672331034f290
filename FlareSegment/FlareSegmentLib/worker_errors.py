"""What went wrong with a worker, in sentences for the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import __version__, errors
from .errors import Cancelled, FlareError, OutputError, WorkerError
from .worker_protocol import PROTOCOL_VERSION, Message


def cancelled() -> Cancelled:
    """Give the error of a request that was stopped."""
    return Cancelled("Cancelled. Nothing was changed.")


def reported_error(message: Message) -> FlareError:
    """Give the error the worker reported, with its own class where that is one of ours."""
    kind = getattr(errors, str(message.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, FlareError)):
        kind = WorkerError
    error: FlareError = kind(str(message.get("message", "The worker reported an error.")))
    return error


def end_sentence(exit_code: int) -> str:
    """Give the sentence for a worker that ended by itself."""
    # A shell in between reports a signal as 128 + number.
    if exit_code in (-9, 137):
        return (
            "The operating system ended the worker (signal 9), most likely because the memory "
            "of this computer was used up. Close other programs or crop the scan to the abdomen."
        )
    if exit_code < 0:
        return f"The worker crashed (signal {-exit_code})."
    return f"The worker ended unexpectedly with exit code {exit_code}."


def other_version(hello: Message) -> str:
    """Give the sentence for a worker of another version, which introduced itself with `hello`."""
    return (
        f"The worker is version {hello.get('version')} (protocol {hello.get('protocol')}), this "
        f"module is version {__version__} (protocol {PROTOCOL_VERSION}): two versions of the "
        "extension are installed. Remove one, then restart Slicer."
    )


def gave_up(sentence: str, last_words: str) -> WorkerError:
    """Give the error for a worker that was ended, with the last lines of its log."""
    text = f"{sentence} It was ended; the next run starts it again."
    return WorkerError(f"{text}\n\nIts last words:\n{last_words}" if last_words else text)


def no_room(folder: Path, array: np.ndarray, error: OSError, what: str = "scan") -> OutputError:
    """Give the error for a scan or result that does not fit into the exchange folder."""
    return OutputError(
        f"The {what} needs {array.nbytes / 2**20:.0f} MB in the temporary folder {folder.parent}, "
        f"which could not be written ({error}). Make room there or choose another temporary "
        "folder in Slicer's application settings."
    )
