"""Whether a model is worth using, in words."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from FlareTrainLib.run_verdict import Verdict


def verdictText(verdict: Verdict) -> str:
    """Say how the model that would be used does beside the bundled one."""
    text = {
        "better": _("Better than the bundled model: mean DSC {ours:.3f}, bundled {bundled:.3f}."),
        "worse": _("WORSE than the bundled model: mean DSC {ours:.3f}, bundled {bundled:.3f}."),
        "same": _("As good as the bundled model: mean DSC {ours:.3f}, bundled {bundled:.3f}."),
        "unknown": _("Not compared with the bundled model yet."),
    }[verdict.judgement].format(ours=verdict.ours or 0.0, bundled=verdict.bundled or 0.0)
    if verdict.few and verdict.judgement != "unknown":
        few = _("Only {n} validation cases: other patients may turn it round.")
        text += " " + few.format(n=verdict.cases)
    return text


def doubtText(verdict: Verdict) -> str:
    """Say what speaks against using the model, "" when nothing is known against it."""
    if verdict.judgement == "worse":
        return _(
            "This model is worse than the bundled one on the validation cases: mean DSC "
            "{ours:.3f}, bundled {bundled:.3f}. FlareSegment would use it for every scan until "
            "another model is chosen there."
        ).format(ours=verdict.ours, bundled=verdict.bundled)
    if verdict.ours is None:
        return _(
            "No validation case has scored this model: nobody knows whether it is better than the "
            "bundled one."
        )
    return ""


def resultText(hasModel: bool, run: Path | None, scored: bool, verdict: Verdict | None) -> str:
    """Say what the tables show."""
    if run is None:
        return ""
    if not hasModel:
        return _("This run has no model yet.")
    if not scored or verdict is None:
        return _("The model was not scored: the dataset has no validation cases.")
    if verdict.ours is not None and verdict.newest is not None and verdict.newest < verdict.ours:
        return _(
            "The tables show the newest weights (mean DSC {newest:.3f}). Those from before were "
            "better ({ours:.3f}) and are what is used."
        ).format(newest=verdict.newest, ours=verdict.ours)
    return _("Click a case to load it with its annotations and what the model made of it.")
