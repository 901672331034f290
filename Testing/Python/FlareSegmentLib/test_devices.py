"""Device and precision: what is asked for, or a sentence."""

from __future__ import annotations

import pytest
import torch

from FlareSegmentLib.devices import (
    bfloat16_gain,
    choose_device,
    choose_precision,
    is_out_of_memory,
)
from FlareSegmentLib.errors import DeviceError, InputError


def test_cpu_is_always_there() -> None:
    assert choose_device("cpu") == (torch.device("cpu"), "")


def test_unknown_device_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="auto, cpu, cuda"):
        choose_device("gpu3")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_said_when_asked_for_and_passed_over_otherwise() -> None:
    with pytest.raises(DeviceError, match="No NVIDIA GPU"):
        choose_device("cuda")
    assert choose_device("auto")[0].type == "cpu"


def test_automatic_precision_follows_the_measured_gain() -> None:
    chosen = choose_precision("auto", torch.device("cpu"))
    assert chosen == (torch.bfloat16 if bfloat16_gain() >= 1.2 else torch.float32)
    assert choose_precision("float32", torch.device("cpu")) == torch.float32
    with pytest.raises(InputError, match="float8"):
        choose_precision("float8", torch.device("cpu"))


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
