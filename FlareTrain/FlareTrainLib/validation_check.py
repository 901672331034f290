"""Validation cases are looked at before a training, not found unusable after hours of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from FlareSegmentLib.checking import check_ct
from FlareSegmentLib.errors import FlareError

from .case_loading import load_case
from .dataset import Dataset, DatasetCase
from .settings import read_json, write_json

logger = logging.getLogger(__name__)

CHECKED = "validation.json"


def check_validation(dataset: Dataset, run: Path) -> None:
    """Read every validation case, unless that was done for this run and nothing changed.

    Raises
    ------
    FlareError
        When a case cannot be read or segmented, or its label map does not fit.
    """
    path = run / CHECKED
    now = [_stamps(case) for case in dataset.validation]
    if path.is_file() and read_json(path) == now:
        return
    for case in dataset.validation:
        try:
            check_ct(load_case(dataset, case).volume)
        except FlareError as error:
            raise type(error)(
                f"The model cannot be judged by the validation case {case.name}. {error}"
            ) from error
    write_json(path, now)


def _stamps(case: DatasetCase) -> list[Any]:
    files = [path for path in (case.scan, case.labels) if path is not None]
    return [case.name, *([path.stat().st_size, path.stat().st_mtime_ns] for path in files)]
