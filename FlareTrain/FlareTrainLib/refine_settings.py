"""How pseudo-labels are chosen and merged, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .cleaning import CleaningSettings


@dataclass(frozen=True)
class GateSettings:
    """P1's agreement gate.

    Attributes
    ----------
    least_agreement
        Cases whose two pseudo-labels have a mean organ DSC of this or below are rejected.
    most_partial, most_unlabeled
        How many partly labeled and unlabeled cases are taken; 0 takes all.
    rank
        "score" takes the best of those that pass, "name" the first by case id (the paper).
    between
        Names of the two sources; empty takes the first two.
    uncompared
        What happens to cases that a single source labeled, so that nothing can be compared:
        "reject" (P1), or "pass", which trusts that source; both stand in the table of decisions.
    """

    least_agreement: float = 0.85
    most_partial: int = 0
    most_unlabeled: int = 0
    rank: Literal["score", "name"] = "score"
    between: tuple[str, ...] = ()
    uncompared: Literal["reject", "pass"] = "reject"


@dataclass(frozen=True)
class UncertaintySettings:
    """P3's choice among unlabeled cases by disagreement of three sources.

    Attributes
    ----------
    organ_share
        Share of the cases with the lowest organ uncertainty that is taken (P3: 1000 of 1800).
    tumor_share
        Share of the taken cases that keep their pseudo-tumors (P3: 100 of 1000); in the others
        tumor becomes background.
    """

    organ_share: float = 0.556
    tumor_share: float = 0.1


@dataclass(frozen=True)
class RefineSettings:
    """How pseudo-labels become training labels.

    Attributes
    ----------
    sources
        Names of pseudo-label folders, most trusted first; empty takes all there are.
    labels
        "primary" takes the first source, "majority" the vote of all (at least three), "certain"
        the first with doubtful voxels and organs unknown.
    least_organ_dsc
        For "certain": an organ on which two sources overlap less is unknown in that case.
    gate, uncertainty
        P1's and P3's selection; None leaves it out.
    top_fraction
        Share of the most credible unlabeled cases that is taken (P4: 0.5).
    tumor
        Whether pseudo-labels may hold tumors: "never" (P1), "always", or "certain" (P3: only
        where `uncertainty` says so).
    tumor_sources
        Sources whose tumors are put over the organs of the others, where more than half of them
        say tumor (P5); empty for none.
    rejected
        What happens to partly labeled cases whose pseudo-labels are rejected.
    cleaning
        "apply" removes suspicious components from pseudo-labels, "propose" lists them.
    components
        What is suspicious.
    """

    sources: tuple[str, ...] = ()
    labels: Literal["primary", "majority", "certain"] = "primary"
    least_organ_dsc: float = 0.6
    gate: GateSettings | None = None
    uncertainty: UncertaintySettings | None = None
    top_fraction: float = 1.0
    tumor: Literal["never", "always", "certain"] = "never"
    tumor_sources: tuple[str, ...] = ()
    rejected: Literal["truth only", "leave out"] = "truth only"
    cleaning: Literal["off", "propose", "apply"] = "propose"
    components: CleaningSettings = field(default_factory=CleaningSettings)
