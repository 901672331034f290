"""Whether a run's model is better than the bundled one, on the cases that nobody trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from FlareSegmentLib.errors import FlareError

from .evaluation import score_of_summary
from .run_bundles import BUNDLE, SCORE
from .settings import read_json
from .training_task import BUNDLED

FEW_CASES = 5
"""Below this many validation cases a difference says little."""

SAME = 0.005
"""Differences of the mean DSC below this are none: a second training differs by as much."""

Judgement = Literal["better", "worse", "same", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """Scores of the model that would be used, and of the bundled one on the same cases.

    Attributes
    ----------
    ours, bundled
        Mean DSC of the organs in view, 13 times, and of tumor, once; None when not scored.
    newest
        That of the newest weights, which are not used when they are worse.
    cases
        Cases that judged.
    """

    ours: float | None
    bundled: float | None
    newest: float | None
    cases: int

    @property
    def judgement(self) -> Judgement:
        """What the scores say."""
        if self.ours is None or self.bundled is None:
            return "unknown"
        if abs(self.ours - self.bundled) < SAME:
            return "same"
        return "better" if self.ours > self.bundled else "worse"

    @property
    def few(self) -> bool:
        """Whether so few cases judged that the scores say little."""
        return 0 < self.cases < FEW_CASES


def verdict_of(run: Path) -> Verdict:
    """Compare the run's best model with the bundled one; reads three small files."""
    newest = _read(run / "latest" / "evaluation.json")
    bundled = _read(run / BUNDLED / "evaluation.json")
    ours = _read(run / BUNDLE / SCORE).get("score")
    return Verdict(
        None if ours is None else float(ours),
        _score(bundled),
        _score(newest),
        len(newest.get("cases", ())),
    )


def _score(evaluation: dict[str, Any]) -> float | None:
    summary = evaluation.get("summary")
    return score_of_summary(summary) if summary else None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(read_json(path))
    except FlareError:  # being written at this moment
        return {}
