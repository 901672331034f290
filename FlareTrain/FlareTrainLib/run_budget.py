"""The time given to a run: what of it is left, and what part of the run that is.

Minutes are minutes of training. Labeling, packing and the scores at the end come on top; scores
during a training are within.
"""

from __future__ import annotations

from pathlib import Path

from .activity import Activity
from .pipeline import RECIPE
from .recipe import Recipe
from .run_folder import stages
from .settings import read_json, settings_from_json


def limited_share(run: Path, activity: Activity | None) -> float:
    """Share of a limited run that is over, 0 to 1; 0 without a limit or before the first step.

    A time limit may end a training long before its last step.
    """
    left = activity.seconds_left if activity else None
    if activity is None or left is None or not activity.minutes:
        return 0.0
    before = 0.0
    recipe = settings_from_json(Recipe, read_json(run / RECIPE), str(run / RECIPE))
    networks = stages(run, recipe)
    total = sum(share for *_rest, share in networks)
    for _name, fit, _steps, share in networks:
        if fit == run / activity.fit:
            over = 1.0 - min(1.0, left / (60 * activity.minutes))
            return (before + share * over) / total
        before += share
    return 0.0
