"""The command ``flare-segment``; nothing slow is imported before it is needed."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .command_line import INTERRUPTED, accept_all_letters, exit_code, interrupt
from .labels import parse_targets, targets
from .waiting_threads import let_threads_sleep

if TYPE_CHECKING:
    from .batch import CaseResult
    from .model_choice import ModelChoice

PROGRAM = "flare-segment"

_DESCRIPTION = """\
Segment 13 abdominal organs and tumor in CT scans.

Every case gives OUT/<case>_seg.FORMAT; statistics.csv holds ml and mean HU of all cases. Finished
cases are skipped when the command is run again; several processes may share one OUT."""

_EPILOG = """\
targets:
{targets}

other commands:
  flare-segment evaluate PRED REF   compare label maps with references: DSC and NSD
  flare-segment phantom OUT         make a synthetic CT with labels
  flare-segment models              list the models with licenses and scores

exit code: 0 when all went well, 1 when a case failed (the others are finished), 2 for a wrong
command line, 130 after Ctrl-C"""

_COMMANDS = ("segment", "evaluate", "phantom", "models")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Without the program's name; default: those of this process.

    Returns
    -------
    int
        Exit code: 0; 1 when something failed; 2 for a wrong command line; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    accept_all_letters()
    let_threads_sleep()
    if words == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return 0
    if not words or words[0] not in _COMMANDS:
        words.insert(0, "segment")
    options = _parser().parse_args(words)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    return exit_code(PROGRAM, lambda: options.function(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM)
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (_add_segment, _add_evaluate, _add_phantom, _add_models):
        add(commands).add_argument("-v", "--verbose", action="store_true", help="tell more")
    return parser


def _add_segment(commands: Any) -> argparse.ArgumentParser:
    from .batch import FORMATS

    keys = ", ".join(target.key for target in targets())
    parser: argparse.ArgumentParser = commands.add_parser(
        "segment",
        prog=PROGRAM,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_DESCRIPTION,
        epilog=_EPILOG.format(
            targets=textwrap.fill(keys, 96, initial_indent="  ", subsequent_indent="  ")
        ),
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", type=Path, help="file, folder of files, or DICOM")
    add("-o", "--output", required=True, metavar="OUT", type=Path, help="folder of the results")
    add("--format", choices=FORMATS, default="nii.gz", help="of the label map (%(default)s)")
    add("--targets", metavar="KEYS", help="separated by commas, e.g. liver,spleen (all)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(%(default)s)")
    add("--model", metavar="FOLDER", type=Path, help="a model of yours (the bundled one)")
    add("--series", help="DICOM series: number, part of its description, or UID (largest CT)")
    add("--frame", type=int, metavar="N", help="which volume of a 4D scan, from 0")
    add("--json", action="store_true", help="write a report per case, <case>_seg.json")
    add("--preview", action="store_true", help="write a picture per case, <case>_seg.png")
    add("--overwrite", action="store_true", help="segment again and replace results")
    parser.set_defaults(function=_segment)
    return parser


def _add_evaluate(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate",
        description="Compare label maps with references by FLARE's metrics: DSC and NSD per "
        "target, organs and tumor apart. Cases are paired by name.",
    )
    add = parser.add_argument
    add("prediction", metavar="PRED", type=Path, help="folder of <case>_seg.*, or a file")
    add("reference", metavar="REF", type=Path, help="folder of <case>_label.*, or a file")
    add("-o", "--output", metavar="OUT", type=Path, help="folder for evaluation.csv and .json")
    add("--annotated", type=Path, metavar="JSON", help="which ids were annotated in which case")
    add(
        "--mode",
        choices=("correct", "flare"),
        default="correct",
        help="'flare' repeats the challenge's script with its bugs (%(default)s)",
    )
    parser.set_defaults(function=_evaluate)
    return parser


def _add_phantom(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "phantom",
        description="Make a synthetic abdominal CT with all 14 targets: the file OUT, and the "
        "true labels beside it in <name>_label.nii.gz.",
    )
    parser.add_argument("output", metavar="OUT", type=Path, help="a .nii.gz file, or a folder")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another patient")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.set_defaults(function=_phantom)
    return parser


def _add_models(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "models", description="List the models with their licenses and scores."
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", type=Path, help="models of yours")
    parser.add_argument("--json", action="store_true", help="everything the models say, as JSON")
    parser.set_defaults(function=_models)
    return parser


def _segment(options: argparse.Namespace) -> int:
    from .batch import Batch, BatchSettings, run_batch
    from .cases import find_cases
    from .progress_line import ProgressLine

    for name in ("SIGTERM", "SIGHUP"):  # as Ctrl-C: temporary files and claims are removed
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)
    settings = BatchSettings(
        output=options.output,
        targets=parse_targets(options.targets) if options.targets else None,
        format=options.format,
        device=options.device,
        model=options.model,
        series=options.series,
        frame=options.frame,
        json=options.json,
        preview=options.preview,
        overwrite=options.overwrite,
    )
    line = ProgressLine(sys.stderr)
    done = 0

    def started(case: Any, number: int, count: int) -> None:
        if not sys.stderr.isatty():
            print(f"[{number}/{count}] {case.name} ...", flush=True)
        line.start(case.name, number, count)

    def ended(result: CaseResult) -> None:
        nonlocal done
        done += result.state in ("done", "skipped")
        if result.state != "skipped":
            line.finish_case()
        _tell(result)

    try:
        cases = find_cases(options.inputs, options.output, line.look)
        line.clear()
        results = run_batch(Batch(cases, settings), started, line.update, ended)
    except KeyboardInterrupt:
        line.clear()
        print(
            f"Stopped. {done} finished; the same command goes on where it stopped.",
            file=sys.stderr,
        )
        return INTERRUPTED
    return _summary(results, options.output)


def _tell(result: CaseResult) -> None:
    """Print what became of a case: one line, and its notes."""
    from .report import found_text

    name, report = result.case.name, result.report
    if result.state == "failed":
        print(f"{name}: FAILED. {result.message}", file=sys.stderr, flush=True)
    elif result.state == "claimed":
        print(f"{name}: left out, {result.message}", flush=True)
    elif report is not None and result.state == "skipped":
        print(f"{name}: finished before, {result.path}", flush=True)
    elif report is not None:
        seconds = report["seconds"]["total"]
        print(f"{name}: {found_text(report)}, {seconds:.1f} s, {result.path}", flush=True)
        for note in report["notes"]:
            print(f"  {note}", flush=True)


def _summary(results: Sequence[CaseResult], output: Path) -> int:
    counts = {state: 0 for state in ("done", "skipped", "claimed", "failed")}
    for result in results:
        counts[result.state] += 1
    if len(results) > 1:
        words = {
            "done": "segmented",
            "skipped": "finished before",
            "claimed": "left to other processes",
            "failed": "failed",
        }
        parts = [f"{count} {words[state]}" for state, count in counts.items() if count]
        print(f"{len(results)} cases: {', '.join(parts)}. Results: {output}", flush=True)
    return 1 if counts["failed"] else 0


def _evaluate(options: argparse.Namespace) -> int:
    from .evaluation import EvaluationArguments, run

    result = run(
        EvaluationArguments(
            prediction=options.prediction,
            reference=options.reference,
            annotated=options.annotated,
            mode=options.mode,
            output=options.output,
        )
    )
    print(result.as_table())
    return 0


def _phantom(options: argparse.Namespace) -> int:
    from .phantom.generate import PhantomSettings
    from .phantom_file import write_phantom

    settings = PhantomSettings(seed=options.seed)
    for path in write_phantom(options.output, settings, options.overwrite):
        print(path)
    return 0


def _models(options: argparse.Namespace) -> int:
    import json

    from .model_choice import available_models, read_choice

    choices = [*available_models(), *map(read_choice, options.folders)]
    if options.json:
        print(json.dumps([{"folder": str(c.folder), **c.info} for c in choices], indent=1))
        return 0
    for choice in choices:
        print(_model_text(choice))
    return 0


def _model_text(choice: ModelChoice) -> str:
    info = choice.info
    facts = info.get("facts", {})
    lines = [f"{choice.name} {info.get('version', '')}".rstrip()]
    lines.append(f"  folder: {os.fspath(choice.folder)}")
    lines.append(f"  targets: {', '.join(info.get('targets', []))}")
    for key, value in facts.items():
        lines.append(f"  {key}: {_fact_text(value)}")
    return "\n".join(lines)


def _fact_text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_fact_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_fact_text, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
