"""Measure everything and write RESULTS.md.

make bench                                   everything, about 40 minutes on 2 cores
make bench BENCH_ARGS="--only startup"       one part; the others keep their figures
make bench BENCH_ARGS="--runs 1 --slices 20 40 --peer-slices 20 --in-plane 128
                       --results rehearsal.md"   a rehearsal in minutes
"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path

import accuracy
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
from measuring import ScriptFailedError, machine

PARTS = {
    "accuracy": ("Real scans, beside a FLARE 2025 entry", accuracy.section),
    "sources": ("Beside the networks whose labels it learned from", sources.section),
    "robustness": ("The same scans with other slices, axes, brightness, noise", robustness.section),
    "negatives": ("Where nothing is to be found, and left and right", negatives.section),
    "tumor": ("Tumors", tumor.section),
    "peers": ("Beside nnU-Net's predictor with the same weights", peers.section),
    "scaling": ("Volumes of 55 to 1000 slices, and the floor", scaling.section),
    "startup": ("Start-up", startup.section),
    "networks": ("What the sub-voxel stem saves", networks.section),
    "training": ("A training step beside the bare pass", training.section),
    "paper_sizes": ("A training step at the papers' sizes", paper_sizes.section),
}


def main() -> int:
    """Run the chosen parts; 1 when one of them failed."""
    command = inputs.parser(__doc__)
    command.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts")
    command.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "RESULTS.md", help="report"
    )
    arguments = command.parse_args()
    chosen = inputs.options(arguments)
    kept = arguments.results.with_suffix(".json")
    parts: dict[str, dict[str, str]] = {}
    if kept.is_file():
        parts = json.loads(kept.read_text(encoding="utf-8"))
    failed = False
    for name in arguments.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            text = PARTS[name][1](chosen)
        except MissingInputError as missing:
            text = str(missing)
        except ScriptFailedError as problem:
            print(problem, file=sys.stderr)
            failed = True
            continue  # figures of an earlier run stay, with their own date
        parts[name] = {"text": text, **_circumstances(chosen)}
        # After each part: an hour of measuring is not lost to the last one.
        kept.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")
        arguments.results.write_text(_report(parts), encoding="utf-8")
    return 1 if failed else 0


def _circumstances(chosen: Options) -> dict[str, str]:
    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "model": _model_name(chosen),
    }


def _model_name(chosen: Options) -> str:
    path = chosen.model / "model.json"
    if not path.is_file():
        return "none"
    content = json.loads(path.read_text(encoding="utf-8"))
    return f"{content['name']} {content['version']} ({content['network']['sha256'][:12]})"


def _report(parts: dict[str, dict[str, str]]) -> str:
    lines = [
        "# Measured",
        "",
        'Written by `make bench`; one part again: `make bench BENCH_ARGS="--only startup"`. Times',
        "are wall clock, memory is the peak resident memory of the process and its children.",
    ]
    for name, (title, _) in PARTS.items():
        if name in parts:
            part = parts[name]
            lines += [
                "",
                f"## {title}",
                "",
                part["text"],
                "",
                f"{part['date']}; model {part['model']}; {part['machine']}.",
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
