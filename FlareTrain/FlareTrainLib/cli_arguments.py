"""The arguments of the commands of ``flare-train``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]
"""Does a command; gives the exit code."""


def add_commands(parser: argparse.ArgumentParser, commands: Mapping[str, Command]) -> None:
    """Give the program its commands, each with its arguments and what does it."""
    places: Any = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text, add_arguments in _COMMANDS:
        command = places.add_parser(name, help=text, description=text)
        add_arguments(command)
        command.add_argument("-q", "--quiet", action="store_true", help="tell only problems")
        command.set_defaults(function=commands[name])


def _add_device(parser: argparse.ArgumentParser) -> None:
    choices = ("auto", "cpu", "cuda")
    parser.add_argument("--device", choices=choices, default="auto", help="(%(default)s)")


def _add_from(parser: argparse.ArgumentParser) -> None:
    text = "start with the weights of this model: a folder, or a name such as flare-base"
    parser.add_argument("--from", dest="initial", default="", metavar="BUNDLE", help=text)


def _add_data(parser: argparse.ArgumentParser, output: str, text: str = "dataset folder") -> None:
    """Give a command that reads a dataset and leaves a folder these two arguments."""
    parser.add_argument("data", type=Path, metavar="DATA", help=text)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help=output)


def _add_model(parser: argparse.ArgumentParser) -> None:
    text = "the model: a folder, or a name such as flare-base"
    parser.add_argument("--model", required=True, metavar="BUNDLE", help=text)
    _add_device(parser)


def _add_part(parser: argparse.ArgumentParser) -> None:
    parts = ("network", "localiser")
    text = "which of the recipe's networks (%(default)s)"
    parser.add_argument("--part", choices=parts, default="network", help=text)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scheduler", default="", metavar="ADDRESS", help="label on this Dask cluster")
    add("--workers", type=_count, default=0, metavar="N", help="label with N processes here")


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help="dataset folder")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="folder for an overview")


def _add_run(parser: argparse.ArgumentParser) -> None:
    text = "name of a recipe (see recipes), or a JSON file"
    parser.add_argument("recipe", metavar="RECIPE", help=text)
    _add_run_options(parser, "dataset folder")


def _add_base(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(recipe="base")
    _add_run_options(parser, "folder with ct, manual, pseudo")


def _add_run_options(parser: argparse.ArgumentParser, data: str) -> None:
    add = parser.add_argument
    add("--data", required=True, type=Path, metavar="DATA", help=data)
    run = "folder of the run"
    add("--out", "--run", dest="run", required=True, type=Path, metavar="RUN", help=run)
    minutes = (
        "minutes of training in this call, all networks together; labeling, packing and scoring "
        "come on top (whole schedules)"
    )
    add("--minutes", type=_minutes, metavar="N", help=minutes)
    add("--steps", type=_count, metavar="N", help="length of every schedule (the recipe's)")
    _add_from(parser)
    add("--no-validation", action="store_true", help="do not score the model")
    _add_device(parser)
    _add_cluster(parser)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of minutes")
    return value


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number above 0")
    return int(text)


def _add_pseudo(parser: argparse.ArgumentParser) -> None:
    _add_data(parser, "folder of label maps", "dataset, or a folder of scans")
    _add_model(parser)
    _add_cluster(parser)


def _add_refine(parser: argparse.ArgumentParser) -> None:
    _add_data(parser, "folder of the labels")
    add = parser.add_argument
    add("--recipe", required=True, help="recipe whose rules are used")
    source = "another folder of label maps (may be given several times)"
    add("--source", action="append", default=[], type=Path, metavar="FOLDER", help=source)


def _add_pack(parser: argparse.ArgumentParser) -> None:
    _add_data(parser, "folder of packed cases")
    add = parser.add_argument
    add("--refined", required=True, type=Path, metavar="FOLDER", help="output of refine")
    add("--recipe", required=True, help="recipe whose grid is used")
    _add_part(parser)


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--packed", required=True, type=Path, metavar="FOLDER", help="folder of packed cases")
    # torchrun takes "--run" for an abbreviation of options of its own.
    also = "folder of the training run (after torchrun write --folder)"
    add("--run", "--folder", required=True, type=Path, metavar="RUN", help=also)
    add("--recipe", help="recipe whose network is trained")
    _add_part(parser)
    add("--settings", type=Path, metavar="JSON", help="training settings instead of a recipe's")
    minutes = "minutes of training in this call (whole schedule)"
    add("--minutes", type=_minutes, metavar="N", help=minutes)
    _add_from(parser)
    _add_device(parser)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_data(parser, "folder of the results")
    _add_model(parser)


def _add_export(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--run", required=True, type=Path, metavar="RUN", help="run of fit")
    add("--recipe", required=True, help="recipe of the network: its grid and window")
    add("--localiser", type=Path, metavar="RUN", help="run of the recipe's localiser")
    add("--name", required=True, help="name of the model")
    add("--model-version", default="1", metavar="VERSION", help="(%(default)s)")
    add("-o", "--output", required=True, type=Path, metavar="BUNDLE", help="folder of the model")


def _add_average(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    models = "folders of models that began with the same weights, or names of available models"
    add("models", nargs="+", metavar="BUNDLE", help=models)
    add("--name", required=True, help="name of the model")
    add("--model-version", default="1", metavar="VERSION", help="(%(default)s)")
    add("-o", "--output", required=True, type=Path, metavar="BUNDLE", help="folder of the model")


def _add_study(parser: argparse.ArgumentParser) -> None:
    from .study_cli import add_arguments

    add_arguments(parser)


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    """Leave a command without arguments."""


_COMMANDS: tuple[tuple[str, str, Callable[[argparse.ArgumentParser], None]], ...] = (
    (
        "check",
        "Say what a dataset holds and what may be wrong with it; changes nothing.",
        _add_check,
    ),
    (
        "run",
        "Make a model from a dataset by a recipe: all steps, resumable.",
        _add_run,
    ),
    (
        "base",
        "Train the bundled model on the project's data: run base.",
        _add_base,
    ),
    (
        "pseudo",
        "Label the scans of a dataset, or of a folder, with a model.",
        _add_pseudo,
    ),
    (
        "refine",
        "Choose and merge pseudo-labels; leaves labels and a table of decisions.",
        _add_refine,
    ),
    (
        "pack",
        "Resample refined cases to the grid of a recipe's network.",
        _add_pack,
    ),
    (
        "fit",
        "Train one network on packed cases; also under torchrun.",
        _add_fit,
    ),
    (
        "evaluate",
        "Score a model on the validation cases of a dataset: DSC and NSD per target.",
        _add_evaluate,
    ),
    (
        "export",
        "Write the weights of a training run as a bundle that FlareSegment loads.",
        _add_export,
    ),
    (
        "average",
        "Average the weights of models that come from one training, or went on from one model.",
        _add_average,
    ),
    (
        "study",
        "Compare recipes and ablations with equal budget; resumable; writes the tables.",
        _add_study,
    ),
    (
        "recipes",
        "List the recipes that come with FlareTrain.",
        _add_nothing,
    ),
)
"""Name, what it does in a sentence, and its arguments, in the order of the help."""
