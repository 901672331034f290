"""Which device computes, and in which precision."""

from __future__ import annotations

import logging
import time
from functools import cache

import torch
from torch.nn import functional

from .errors import DeviceError, InputError

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")

WORTHWHILE = 1.2
"""bfloat16 is used on a CPU only when it is at least this much faster."""


def choose_device(name: str) -> tuple[torch.device, str]:
    """Device for "auto", "cpu" or "cuda", and a sentence about it for the user or "".

    Raises
    ------
    InputError
        If the name is unknown.
    DeviceError
        If a GPU was asked for by name and none can be used.
    """
    if name not in DEVICES:
        raise InputError(f"There is no device '{name}'. Choose one of: {', '.join(DEVICES)}.")
    if name == "cpu":
        return torch.device("cpu"), ""
    problem = cuda_problem()
    if not problem:
        return torch.device("cuda"), ""
    if name == "cuda":
        raise DeviceError(
            f"{problem} Choose the CPU, or 'auto' to take a GPU only if there is one."
        )
    note = "" if not torch.cuda.is_available() else f"{problem} The CPU is used instead."
    return torch.device("cpu"), note


@cache
def cuda_problem() -> str:
    """Why no NVIDIA GPU can be used, as a sentence; "" when one can."""
    if not torch.cuda.is_available():
        return "No NVIDIA GPU that this PyTorch can use was found."
    try:
        # A GPU newer than this PyTorch build is 'available' and fails at the first kernel.
        torch.ones(8, device="cuda").square().sum().item()
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        return f"The GPU is there but cannot run this PyTorch build ({reason})."
    return ""


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Number format for the network: as asked, or the fastest this device is good at.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if name not in PRECISIONS:
        raise InputError(f"There is no precision '{name}'. Choose one of: {', '.join(PRECISIONS)}.")
    if name == "auto":
        if device.type == "cuda":
            return torch.float16
        return torch.bfloat16 if bfloat16_gain() >= WORTHWHILE else torch.float32
    return {
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
    }[name]


@cache
def bfloat16_gain() -> float:
    """Speed of a typical convolution in bfloat16 over float32 on this CPU, measured once.

    CPUs without bfloat16 units emulate it, many times slower; asking is not enough.
    """
    x = torch.ones(1, 32, 8, 48, 48)
    weight = torch.ones(32, 32, 3, 3, 3)
    seconds = {}
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            a, b = x.to(dtype), weight.to(dtype)
            functional.conv3d(a, b, padding=1)
            best = float("inf")
            for _ in range(3):
                start = time.perf_counter()
                functional.conv3d(a, b, padding=1)
                best = min(best, time.perf_counter() - start)
            seconds[dtype] = best
    gain = seconds[torch.float32] / seconds[torch.bfloat16]
    logger.info("bfloat16 runs %.1f times as fast as float32 here", gain)
    return gain


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a device, or the machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "alloc_failed" in text
    )
