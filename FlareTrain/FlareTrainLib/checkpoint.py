"""Checkpoints: written whole or not at all, read without running code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from FlareSegmentLib.errors import InputError, OutputError

CHECKPOINT = "checkpoint.pt"
"""Everything needed to go on."""

BEST = "best.pt"
"""The weights that validated best."""


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` under a temporary name, then rename.

    Raises
    ------
    OutputError
        If it cannot be written; what was there before stays.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        torch.save(state, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        # PyTorch tells of a full disk by a place in its own source.
        reason = getattr(error, "strerror", None) or "not all of it went onto the disk"
        raise OutputError(
            f"The checkpoint '{path}' cannot be written ({reason}). The one before is untouched: "
            "make room, then start the same command again."
        ) from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """State in `path`, on the CPU.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"'{path}' is damaged and cannot be read. Copy the run again, or begin it anew in "
            "another folder."
        ) from error
    if not isinstance(state, dict):
        raise InputError(f"'{path}' is not a checkpoint. Choose another run folder.")
    return state
