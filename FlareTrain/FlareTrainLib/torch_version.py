"""Which PyTorch trains: a later one than segments."""

from __future__ import annotations

from FlareSegmentLib.errors import InputError

LEAST = (2, 4)
"""Fused optimizers on a CPU, and gradient scalers for any device."""


def check_torch(version: str | None = None) -> None:
    """Raise `InputError` when this PyTorch, by its version, segments but cannot train."""
    if version is None:
        # Not at file scope: Slicer lists runs, and may not have it.
        import torch

        version = torch.__version__
    found = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if found < LEAST:
        raise InputError(
            f"Training needs PyTorch {LEAST[0]}.{LEAST[1]} or later, but this is {version}, with "
            "which models can be used and not trained. Train on a computer that has a later one "
            "(there is none for Macs with an Intel processor), and bring the model's folder here."
        )
