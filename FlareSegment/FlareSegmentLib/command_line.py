"""What the command lines of both packages share: exit codes, and terminals of every kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from .errors import Cancelled, FlareError

INTERRUPTED = 130
"""Exit code after Ctrl-C or an end asked for by the system, as a shell gives it."""


def accept_all_letters() -> None:
    """Let output survive names of files with letters that the terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def exit_code(program: str, function: Callable[[], int]) -> int:
    """Run a command and give its exit code; an error of ours is a sentence on stderr.

    Parameters
    ----------
    program
        Name that stands before the sentence.
    function
        The command.

    Returns
    -------
    int
        What the command gives; 1 after an error; 130 when it was stopped.
    """
    try:
        return function()
    except Cancelled as stopped:
        sys.stderr.write(f"{program}: {stopped}\n")
        return INTERRUPTED
    except FlareError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `| head`: nobody reads on; also Python's own last flush must not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def interrupt(number: int, frame: object) -> None:
    """Handle a signal as Ctrl-C, so that what is half done is tidied up."""
    raise KeyboardInterrupt
