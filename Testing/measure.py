"""Measure the bundled model anew and write every page that states its figures.

Usage: python Testing/measure.py [--plan] [--only PART ...] [--again PART ...] [-- bench options]

In order: the scores (`model_card.py`); the README's pictures (`scan_pictures.py`); the parts of the
benchmark that were not measured with these weights (`Benchmarks/bench.sh`, in its own environment);
the pages again, with what the benchmark gave. Each part is kept when it is done: the same command
goes on where it was stopped.
Parts without trained weights, such as `training`, are measured again only with --again;
`paper_sizes`, which needs 7 GiB of memory and half an hour, only when it is named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

import model_card
from card_blocks import ROOT
from picture_origin import weights_in
from results_page import is_measured, read_measured, weights_of

BENCH = ROOT / "Testing" / "Benchmarks" / "bench.sh"

SCREENSHOTS = ROOT / "Screenshots"
PICTURES = ("result_views.png", "result_preview.png", "panel_real.png")

ORDER = (
    "accuracy",
    "scaling",
    "startup",
    "cancelling",
    "busy",
    "tumor",
    "negatives",
    "robustness",
    "sources",
    "peers",
    "training",
    "networks",
    "paper_sizes",
)
"""What the README states first, the longest last; the last one only when it is named."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing; 1 when a part failed."""
    command = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = command.add_argument
    add("--plan", action="store_true", help="only say what is measured and what is not")
    add("--only", nargs="+", choices=ORDER, default=list(ORDER[:-1]), help="these parts only")
    add("--again", nargs="+", choices=ORDER, default=[], help="also when they were measured")
    add("bench", nargs="*", help="options of the benchmark, e.g. -- --runs 1")
    options = command.parse_args(arguments)
    weights = weights_of(model_card.MODEL)
    measured = read_measured(model_card.RESULTS)
    wanted = [part for part in ORDER if part in (*options.only, *options.again)]
    todo = [
        part for part in wanted if part in options.again or not is_measured(measured, part, weights)
    ]
    print(f"{weights}; to be measured: {', '.join(todo) or 'nothing'}.")
    if options.plan:
        return 0
    model_card.main([])
    failed = [] if _pictures_are_made() else ["pictures"]
    for part in todo:
        # One at a time: the pages are right after each of them.
        done = subprocess.run(["bash", str(BENCH), "--only", part, *options.bench], check=False)
        if done.returncode != 0:
            failed.append(part)
        model_card.write_pages()
    if todo:
        model_card.main(["--keep"])
    if failed:
        print(f"Failed: {', '.join(failed)}; what went wrong is said above.")
    return 1 if failed else 0


def _pictures_are_made() -> bool:
    """Draw the pictures that are of other weights; they need the host of the tests."""
    weights = weights_of(model_card.MODEL)
    if all(weights_in(SCREENSHOTS / name) == weights for name in PICTURES):
        return True
    command = [sys.executable, str(ROOT / "Testing" / "scan_pictures.py")]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
