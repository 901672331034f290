"""The tables of a study, between markers, so that what people wrote around them stays."""

from __future__ import annotations

import datetime
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from FlareSegmentLib.labels import targets

from .settings import read_json
from .study import RESULTS, planned_runs
from .study_settings import StudySettings, Variant
from .whole_files import write_text

Results = Mapping[str, Sequence[Mapping[str, Any]]]
"""Finished results by the name of the variant, in the order of seeds."""

_HEAD = """# Study

What `make study` measured. The part between the markers is written by the command; what stands
outside of them is kept.
"""


def write_tables(settings: StudySettings, folder: Path, page: Path) -> None:
    """Put the tables of what is finished into `page`, in place of those of before.

    Raises
    ------
    OutputError
        When the page cannot be written.
    """
    begin, end = (f"<!-- study {settings.name}: {word} -->" for word in ("begin", "end"))
    block = f"{begin}\n{tables(settings, folder)}\n{end}"
    text = page.read_text(encoding="utf-8") if page.is_file() else _HEAD
    before, found, rest = text.partition(begin)
    if found and end in rest:
        text = before + block + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n{block}\n"
    write_text(page, text)


def tables(settings: StudySettings, folder: Path) -> str:
    """Markdown of the finished runs, and of what is missing."""
    results = _results(settings, folder)
    if not results:
        return f"## {settings.name}\n\n{settings.about}\n\n{_missing(settings, folder)}"
    names = [variant.name for variant in settings.recipes]
    return "\n\n".join(
        part
        for part in (
            f"## {settings.name}\n\n{settings.about}",
            _circumstances(settings, results),
            "### Recipes\n\n" + _overview(settings.recipes, results),
            _reading(settings, results),
            "### Per target\n\n" + _per_target(names, results),
            _ablations(settings, results),
            _missing(settings, folder),
        )
        if part
    )


def _results(settings: StudySettings, folder: Path) -> Results:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for run in planned_runs(settings):
        path = folder / RESULTS / f"{run.name}.json"
        if path.exists():
            result = read_json(path)
            if "same_as" in result:
                result["summary"] = None
            if "problem" not in result:
                found.setdefault(run.variant.name, []).append(result)
    return found


def _circumstances(settings: StudySettings, results: Results) -> str:
    done = sum(len(runs) for runs in results.values())
    seeds = ", ".join(map(str, settings.seeds))
    return (
        f"{done} of {len(planned_runs(settings))} runs, seeds {seeds}, "
        f"{settings.seconds:g} s of training each; {platform.machine()}, "
        f"{datetime.date.today().isoformat()}. DSC and NSD in percent on the validation scans, "
        "through the same inference as `flare-segment`; only pairs of scan and target count in "
        "which the reference has the target, and organs are the mean over all of them. Behind the "
        "mean over seeds stand the lowest and the highest."
    )


def _scores(runs: Sequence[Mapping[str, Any]], part: str, what: str) -> list[float]:
    values = [run["summary"][part][what] for run in runs if run["summary"]]
    return [value for value in values if value is not None]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{100 * statistics.mean(values):.1f}"
    if len(values) == 1:
        return f"{mean} (one seed)"
    return f"{mean} ({100 * min(values):.1f} to {100 * max(values):.1f})"


_COLUMNS = (
    ("organs_in_view", "dsc"),
    ("organs_in_view", "nsd"),
    ("tumor", "dsc"),
    ("tumor", "nsd"),
)


def _overview(variants: Sequence[Variant], results: Results) -> str:
    rows = ["| | organs DSC | organs NSD | tumor DSC | tumor NSD | steps | training cases |"]
    rows.append("|---|---|---|---|---|---|---|")
    for variant in variants:
        runs = results.get(variant.name, ())
        cells = [_spread(_scores(runs, part, what)) for part, what in _COLUMNS]
        steps, cases = "-", "-"
        if runs and runs[0]["summary"]:
            steps = " + ".join(str(n) for n in runs[0]["steps"].values())
            cases = str(runs[0]["cases"])
        rows.append(f"| {variant.name} | {' | '.join(cells)} | {steps} | {cases} |")
    return "\n".join(rows)


def _reading(settings: StudySettings, results: Results) -> str:
    """Say which order the spread allows, and no more."""
    ranges = {}
    for variant in settings.recipes:
        values = _scores(results.get(variant.name, ()), "organs_in_view", "dsc")
        if len(values) > 1:
            ranges[variant.name] = (min(values), max(values))
    if len(ranges) < 2:
        return "Too few recipes have more than one seed: nothing can be ranked yet."
    order = sorted(ranges, key=lambda name: -sum(ranges[name]))
    apart = [
        f"{one} over {other}"
        for n, one in enumerate(order)
        for other in order[n + 1 :]
        if ranges[one][0] > ranges[other][1]
    ]
    widest = max(high - low for low, high in ranges.values())
    count = len(order) * (len(order) - 1) // 2
    return (
        f"Two seeds of one recipe lie up to {100 * widest:.1f} points of organ DSC apart. Of "
        f"{count} pairs of recipes {len(apart)} do not overlap: {'; '.join(apart) or 'none'}. "
        "With so few seeds, so little training and so few scans this is an order of these runs, "
        "not of the papers."
    )


def _per_target(names: Sequence[str], results: Results) -> str:
    rows = ["| DSC / NSD | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for target in targets():
        cells = []
        for name in names:
            runs = [run for run in results.get(name, ()) if run["summary"]]
            pairs = [run["targets"][target.key] for run in runs if target.key in run["targets"]]
            cells.append(
                " / ".join(
                    f"{100 * statistics.mean(pair[what] for pair in pairs):.0f}"
                    for what in ("dsc", "nsd")
                )
                if pairs
                else "-"
            )
        rows.append(f"| {target.key} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _ablations(settings: StudySettings, results: Results) -> str:
    if not settings.ablations:
        return ""
    rows = [
        f"### What parts of {settings.ablated} do\n",
        "The difference is that of runs with the same seed, one after the other.\n",
        "| | organs DSC | organs NSD | tumor DSC | difference in organ DSC |",
        "|---|---|---|---|---|",
    ]
    for variant in (settings.base, *settings.ablations):
        runs = results.get(variant.name, ())
        same = [run["same_as"] for run in runs if "same_as" in run]
        if same:
            text = f"the labels and the training are those of {same[0]}, to the letter: not run"
            rows.append(f"| {variant.name} | {text} | | | 0 |")
            continue
        cells = [_spread(_scores(runs, part, what)) for part, what in _COLUMNS[:3]]
        rows.append(
            f"| {variant.name} | {' | '.join(cells)} | {_difference(settings, runs, results)} |"
        )
    notes = [f"{v.name}: {v.about}" for v in settings.ablations if v.about]
    return "\n".join(rows + (["", *notes] if notes else []))


def _difference(
    settings: StudySettings, runs: Sequence[Mapping[str, Any]], results: Results
) -> str:
    base = {run["seed"]: run for run in results.get(settings.ablated, ())}
    values = []
    for run in runs:
        other = base.get(run["seed"])
        if other is not None and other is not run and other["summary"] and run["summary"]:
            pair = [one["summary"]["organs_in_view"]["dsc"] for one in (run, other)]
            values.append(f"{100 * (pair[0] - pair[1]):+.1f}")
    return ", ".join(values) or "-"


def _missing(settings: StudySettings, folder: Path) -> str:
    """What has no result, and why."""
    lines: list[str] = []
    waiting: dict[str, list[str]] = {}
    for run in planned_runs(settings):
        path = folder / RESULTS / f"{run.name}.json"
        if not path.exists():
            waiting.setdefault(run.variant.name, []).append(str(run.seed))
        elif "problem" in (result := read_json(path)):
            lines.append(f"* {run.variant.name}, seed {run.seed}: failed. {result['problem']}")
    for name, seeds in waiting.items():
        lines.append(f"* {name}: not run with seed {' and '.join(seeds)}")
    return "\n".join(["### Not there\n", *lines]) if lines else ""
