"""What a result depends on: whether a finished one is the one that is wanted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .batch_settings import BatchSettings
from .bundle_info import DESCRIPTION
from .cases import Case
from .errors import OutputError
from .model_choice import read_choice

_NAMES = {
    "scan": "another scan",
    "model": "another model",
    "targets": "other targets",
    "format": "another format",
    "series": "another series",
    "frame": "another frame",
}


def request_for_case(case: Case, settings: BatchSettings, model: str) -> dict[str, Any]:
    """Give what a result depends on; device and number format may change nothing visible.

    Parameters
    ----------
    case, settings
        The scan, and what is wanted of it.
    model
        Of `model_hash`.

    Raises
    ------
    OutputError
        When the scan cannot be read.
    """
    try:
        scan = case.fingerprint()
    except OSError as error:
        raise OutputError(
            f"{case.source} cannot be read ({error.strerror or error}). Check the path."
        ) from error
    return {
        "scan": scan,
        "model": model,
        "targets": None if settings.targets is None else list(settings.targets),
        "format": settings.format,
        "series": settings.series,
        "frame": settings.frame,
    }


def check_same_request(wanted: dict[str, Any], made: dict[str, Any], folder: Path) -> None:
    """Raise `OutputError` when the result in `folder` is not the one that is wanted."""
    other = [name for key, name in _NAMES.items() if wanted[key] != made.get(key)]
    if other:
        raise OutputError(
            f"The result in {folder} was made with {' and '.join(other)}. Choose another output "
            "folder, or allow --overwrite."
        )


def model_hash(folder: Path) -> str:
    """SHA-256 of model.json, which holds the SHA-256 of the weights.

    Raises
    ------
    BundleError
        When the folder holds no model: before any case is looked at.
    """
    read_choice(folder)
    return hashlib.sha256((folder / DESCRIPTION).read_bytes()).hexdigest()
