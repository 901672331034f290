"""Measure everything and write RESULTS.md.

make bench                                   everything: 40 minutes on 2 cores, and as much
                                             again for paper_sizes
make bench BENCH_ARGS="--only startup"       one part; the others keep their figures
make bench BENCH_ARGS="--missing"            what was not measured with these weights
make bench BENCH_ARGS="--runs 1 --slices 20 40 --peer-slices 20 --in-plane 128
                       --results rehearsal.md"   a rehearsal in minutes
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable
from pathlib import Path

import accuracy
import busy
import cancelling
import inputs
import negatives
import networks
import paper_sizes
import peers
import robustness
import scaling
import sources
import startup
import training
import tumor
from inputs import MissingInputError, Options
from measuring import ScriptFailedError, commit, machine

import results_page

SECTIONS: dict[str, Callable[[Options], str]] = {
    "accuracy": accuracy.section,
    "sources": sources.section,
    "robustness": robustness.section,
    "negatives": negatives.section,
    "tumor": tumor.section,
    "peers": peers.section,
    "scaling": scaling.section,
    "startup": startup.section,
    "cancelling": cancelling.section,
    "busy": busy.section,
    "networks": networks.section,
    "training": training.section,
    "paper_sizes": paper_sizes.section,
}


def main() -> int:
    """Run the chosen parts; 1 when one of them failed."""
    command = inputs.parser(__doc__)
    add = command.add_argument
    add("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="parts, in this order")
    add("--missing", action="store_true", help="leave out what was measured with these weights")
    add("--results", type=Path, default=Path(__file__).parent / "RESULTS.md", help="report")
    arguments = command.parse_args()
    chosen = inputs.options(arguments)
    weights = results_page.weights_of(chosen.model)
    kept = arguments.results.with_suffix(".json")
    parts = results_page.read_measured(kept)
    failed = False
    for name in arguments.only:
        if arguments.missing and results_page.is_measured(parts, name, weights):
            print(f"{name}: measured on {parts[name]['date']}", file=sys.stderr, flush=True)
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            text = SECTIONS[name](chosen)
        except MissingInputError as missing:
            if name in parts and not results_page.is_missing(parts[name]):
                print(f"{missing} The earlier figures stay.", file=sys.stderr)
                continue
            text = str(missing)
        except ScriptFailedError as problem:
            print(problem, file=sys.stderr)
            failed = True
            continue  # figures of an earlier run stay, with their own date
        parts[name] = {
            "text": text,
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "model": weights,
            "commit": commit(),
        }
        # After each part: an hour of measuring is not lost to the last one.
        kept.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")
        arguments.results.write_text(results_page.page(parts, weights), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
