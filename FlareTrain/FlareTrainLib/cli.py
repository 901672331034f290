"""The command ``flare-train``; nothing slow is imported before it is needed."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from FlareSegmentLib import __version__
from FlareSegmentLib.errors import FlareError

PROGRAM = "flare-train"

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

_EPILOG = """\
exit code: 0 when all went well, 1 when something failed, 2 for a wrong command line, 130 after
Ctrl-C. Every command can be stopped and goes on where it was when it is run again."""


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
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    level = logging.WARNING if options.quiet else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        code: int = options.function(options)
    except FlareError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train models for FlareSegment from partly labeled CT scans.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_base, _add_fit, _add_export):
        command = add(commands)
        command.add_argument("-q", "--quiet", action="store_true", help="tell only problems")
    return parser


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="(%(default)s)"
    )


def _add_base(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "base",
        help="train the bundled model on the project's data",
        description="Train the bundled model: pack the scans, train localiser and network, and "
        "keep the best bundle so far in RUN/bundle.",
    )
    add = parser.add_argument
    add("--data", required=True, type=Path, metavar="DATA", help="folder with ct, manual, pseudo")
    add("--run", required=True, type=Path, metavar="RUN", help="folder of the run")
    add("--minutes", required=True, type=float, help="time budget of this call")
    add("--settings", type=Path, metavar="JSON", help="other settings than the model's")
    add("--no-validation", action="store_true", help="take the newest bundle, not the best")
    _device(parser)
    parser.set_defaults(function=_base)
    return parser


def _add_fit(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "fit",
        help="train one network on packed cases",
        description="Train one network on a folder of packed cases; goes on with RUN if it was "
        "begun.",
    )
    add = parser.add_argument
    add("--packed", required=True, type=Path, help="folder of packed cases")
    add("--run", required=True, type=Path, metavar="RUN", help="folder of the run")
    add("--minutes", type=float, help="time budget; default: to the end of the schedule")
    add("--settings", type=Path, metavar="JSON", help="settings of the training")
    _device(parser)
    parser.set_defaults(function=_fit)
    return parser


def _add_export(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "export",
        help="write a run's network as a bundle",
        description="Write the averaged weights of a training run as a bundle that FlareSegment "
        "loads.",
    )
    add = parser.add_argument
    add("--run", required=True, type=Path, metavar="RUN", help="run of `flare-train fit`")
    add("--packed", required=True, type=Path, help="the packed cases it was trained on")
    add("-o", "--output", required=True, type=Path, metavar="FOLDER", help="the bundle")
    add("--name", required=True, help="name of the model")
    add("--version", dest="model_version", default="1", help="of the model (%(default)s)")
    add("--patch", type=_three, default=(96, 256, 256), help="largest window k,j,i voxels")
    add("--localiser", type=Path, metavar="RUN", help="run of the localising network")
    parser.set_defaults(function=_export)
    return parser


def _base(options: argparse.Namespace) -> int:
    from .base_model import BaseArguments, train_base_model

    bundle = train_base_model(
        BaseArguments(
            data=options.data,
            run=options.run,
            minutes=options.minutes,
            device=options.device,
            settings=options.settings,
            validate=not options.no_validation,
        )
    )
    print(bundle)
    return 0


def _fit(options: argparse.Namespace) -> int:
    from .base_model import NetworkTraining, fit_packed
    from .settings import read_json, settings_from_json

    training = NetworkTraining()
    if options.settings is not None:
        content = read_json(options.settings)
        training = settings_from_json(NetworkTraining, content, options.settings.name)
    fit_packed(options.run, options.packed, training, options.minutes, options.device)
    print(options.run)
    return 0


def _export(options: argparse.Namespace) -> int:
    from .export import export_bundle
    from .packing import read_index

    _, spacing = read_index(options.packed)
    export_bundle(
        options.output,
        options.name,
        options.model_version,
        options.run,
        spacing,
        options.patch,
        options.localiser,
    )
    print(options.output)
    return 0


def _three(text: str) -> tuple[int, int, int]:
    k, j, i = (int(word) for word in text.split(","))
    return k, j, i
