"""PyTorch that is too old to train with."""

from __future__ import annotations

import pytest
import torch

from FlareSegmentLib.errors import InputError
from FlareTrainLib.torch_version import check_torch


@pytest.mark.parametrize("version", ["2.2.2", "2.3.1+cpu", "1.13.0"])
def test_an_old_one_is_refused_in_words(version: str) -> None:
    with pytest.raises(InputError, match=rf"PyTorch 2\.4 or later, but this is {version[:5]}"):
        check_torch(version)


@pytest.mark.parametrize("version", ["2.4.0", "2.13.0+cpu", "3.0.0", torch.__version__])
def test_a_later_one_is_taken(version: str) -> None:
    check_torch(version)
