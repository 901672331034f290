"""The command ``flare-train``; nothing slow is imported before it is needed."""

from __future__ import annotations

import argparse
import logging
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from FlareSegmentLib import __version__
from FlareSegmentLib.command_line import INTERRUPTED, accept_all_letters, exit_code, interrupt
from FlareSegmentLib.errors import InputError

if TYPE_CHECKING:
    from .pseudo_labels import JobRunner

PROGRAM = "flare-train"

_DESCRIPTION = """\
Train models for FlareSegment from CT scans with partial labels or none.

A dataset is a folder in nnU-Net's raw layout: imagesTr, labelsTr, dataset.json, and annotated.json,
which says what was annotated in which case. The usual order is: check, then run."""

_EPILOG = """\
exit code: 0 when all went well, 1 when something failed, 2 for a wrong command line, 130 when it
was stopped. Every command can be stopped and goes on where it was when it is run again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Without the program's name; default: those of this process.

    Returns
    -------
    int
        Exit code: 0; 1 when something failed; 2 for a wrong command line; 130 when stopped.
    """
    accept_all_letters()
    options = _parser().parse_args(arguments)
    level = logging.WARNING if options.quiet else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    return exit_code(PROGRAM, lambda: options.function(options))


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=_DESCRIPTION, epilog=_EPILOG, formatter_class=form
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    adders = (
        _add_check,
        _add_run,
        _add_base,
        _add_pseudo,
        _add_refine,
        _add_pack,
        _add_fit,
        _add_evaluate,
        _add_export,
        _add_study,
        _add_recipes,
    )
    for add in adders:
        command = add(commands)
        command.add_argument("-q", "--quiet", action="store_true", help="tell only problems")
    return parser


def _command(commands: Any, name: str, text: str, function: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(function=function)
    return parser


def _add_device(parser: argparse.ArgumentParser) -> None:
    choices = ("auto", "cpu", "cuda")
    parser.add_argument("--device", choices=choices, default="auto", help="(%(default)s)")


def _add_from(parser: argparse.ArgumentParser) -> None:
    text = "start with the weights of this model: a folder, or a name such as flare-base"
    parser.add_argument("--from", dest="initial", default="", metavar="BUNDLE", help=text)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scheduler", default="", metavar="ADDRESS", help="label on this Dask cluster")
    add("--workers", type=int, default=0, metavar="N", help="label with N processes here")


def _add_check(commands: Any) -> argparse.ArgumentParser:
    text = "Say what a dataset holds and what may be wrong with it; changes nothing."
    parser = _command(commands, "check", text, _check)
    parser.add_argument("data", type=Path, metavar="DATA", help="dataset folder")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="folder for an overview")
    return parser


def _add_run(commands: Any) -> argparse.ArgumentParser:
    text = "Make a model from a dataset by a recipe: all steps, resumable."
    parser = _command(commands, "run", text, _run)
    add = parser.add_argument
    add("recipe", metavar="RECIPE", help="name of a recipe (see recipes), or a JSON file")
    add("--data", required=True, type=Path, metavar="DATA", help="dataset folder")
    _add_run_options(parser)
    return parser


def _add_base(commands: Any) -> argparse.ArgumentParser:
    text = "Train the bundled model on the project's data: run base."
    parser = _command(commands, "base", text, _run)
    parser.set_defaults(recipe="base")
    add = parser.add_argument
    add("--data", required=True, type=Path, metavar="DATA", help="folder with ct, manual, pseudo")
    _add_run_options(parser)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--out",
        "--run",
        dest="run",
        required=True,
        type=Path,
        metavar="RUN",
        help="folder of the run",
    )
    add("--minutes", type=float, help="time for all trainings of this call (whole schedules)")
    add("--steps", type=int, help="length of every schedule (the recipe's)")
    _add_from(parser)
    add("--no-validation", action="store_true", help="do not score the model")
    _add_device(parser)
    _add_cluster(parser)


def _add_pseudo(commands: Any) -> argparse.ArgumentParser:
    text = "Label the scans of a dataset, or of a folder, with a model."
    parser = _command(commands, "pseudo", text, _pseudo)
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="dataset, or a folder of scans")
    add("--model", required=True, type=Path, metavar="FOLDER", help="the model bundle")
    add("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of label maps")
    _add_device(parser)
    _add_cluster(parser)
    return parser


def _add_refine(commands: Any) -> argparse.ArgumentParser:
    text = "Choose and merge pseudo-labels; leaves labels and a table of decisions."
    parser = _command(commands, "refine", text, _refine)
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="dataset folder")
    add("--recipe", required=True, help="recipe whose rules are used")
    add("--source", action="append", default=[], type=Path, help="another folder of label maps")
    add("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of the labels")
    return parser


def _add_pack(commands: Any) -> argparse.ArgumentParser:
    text = "Resample refined cases to the grid of a recipe's network."
    parser = _command(commands, "pack", text, _pack)
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="dataset folder")
    add("--refined", required=True, type=Path, help="output of refine")
    add("--recipe", required=True, help="recipe whose grid is used")
    add("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of packed cases")
    return parser


def _add_fit(commands: Any) -> argparse.ArgumentParser:
    text = "Train one network on packed cases; also under torchrun."
    parser = _command(commands, "fit", text, _fit)
    add = parser.add_argument
    add("--packed", required=True, type=Path, help="folder of packed cases")
    # torchrun takes "--run" for an abbreviation of options of its own.
    also = "folder of the training run (after torchrun write --folder)"
    add("--run", "--folder", required=True, type=Path, metavar="RUN", help=also)
    add("--recipe", help="recipe whose network is trained")
    add("--settings", type=Path, metavar="JSON", help="training settings instead of a recipe's")
    add("--minutes", type=float, help="time budget (whole schedule)")
    _add_from(parser)
    _add_device(parser)
    return parser


def _add_evaluate(commands: Any) -> argparse.ArgumentParser:
    text = "Score a model on the validation cases of a dataset: DSC and NSD per target."
    parser = _command(commands, "evaluate", text, _evaluate)
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="dataset folder")
    add("--model", required=True, type=Path, metavar="FOLDER", help="the model bundle")
    add("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of the results")
    _add_device(parser)
    return parser


def _add_export(commands: Any) -> argparse.ArgumentParser:
    text = "Write the weights of a training run as a bundle that FlareSegment loads."
    parser = _command(commands, "export", text, _export)
    add = parser.add_argument
    add("--run", required=True, type=Path, metavar="RUN", help="run of fit")
    add("--recipe", required=True, help="recipe of the network: its grid and window")
    add("--localiser", type=Path, metavar="RUN", help="run of the recipe's localiser")
    add("--name", required=True, help="name of the model")
    add("--model-version", default="1", help="(%(default)s)")
    add("-o", "--output", required=True, type=Path, metavar="FOLDER", help="the bundle")
    return parser


def _add_study(commands: Any) -> argparse.ArgumentParser:
    from .study_cli import add_arguments

    text = "Compare recipes and ablations with equal budget; resumable; writes the tables."
    parser = _command(commands, "study", text, _study)
    add_arguments(parser)
    return parser


def _add_recipes(commands: Any) -> argparse.ArgumentParser:
    return _command(commands, "recipes", "List the recipes that come with FlareTrain.", _recipes)


def _check(options: argparse.Namespace) -> int:
    from .dataset_check import check_dataset

    report = check_dataset(options.data)
    print(report.as_text())
    if options.output is not None:
        print(f"Overview: {report.write(options.output)}")
    return 0


def _run(options: argparse.Namespace) -> int:
    from .pipeline import RunArguments, run_recipe

    # As Ctrl-C outside of training, which has its own way to stop at the end of a step.
    signal.signal(signal.SIGTERM, interrupt)
    bundle = run_recipe(
        RunArguments(
            recipe=options.recipe,
            data=options.data,
            run=options.run,
            minutes=options.minutes,
            steps=options.steps,
            device=options.device,
            validate=not options.no_validation,
            runner=_runner(options),
            initial=options.initial,
        )
    )
    print(bundle)
    return 0


def _pseudo(options: argparse.Namespace) -> int:
    from .pseudo_labels import label_scans, scans_of

    paths = label_scans(
        options.model, scans_of(options.data), options.output, options.device, _runner(options)
    )
    print(f"{len(paths)} label maps in {options.output}")
    return 0


def _refine(options: argparse.Namespace) -> int:
    from .dataset import check_trainable, read_dataset
    from .recipe import read_recipe
    from .refinement import refine_dataset

    dataset = read_dataset(options.data)
    check_trainable(dataset)
    sources = {path.name: path for path in options.source} | dict(dataset.sources)
    refined = refine_dataset(dataset, sources, read_recipe(options.recipe).refine, options.output)
    print(f"{len(refined)} of {len(dataset.cases)} cases are used; see decisions.csv")
    return 0


def _pack(options: argparse.Namespace) -> int:
    from .dataset import read_dataset
    from .pack_dataset import pack_refined
    from .recipe import read_recipe
    from .refinement import read_refined

    dataset, refined = read_dataset(options.data), read_refined(options.refined)
    grid = read_recipe(options.recipe).network.grid
    pack_refined(dataset, refined, options.refined, options.output, grid)
    print(f"{len(refined)} cases in {options.output}")
    return 0


def _fit(options: argparse.Namespace) -> int:
    from .fit import fit_run
    from .initial_weights import find_bundle
    from .recipe import read_recipe
    from .settings import read_json, settings_from_json
    from .training_settings import TrainingSettings

    if (options.recipe is None) == (options.settings is None):
        raise InputError("Give either --recipe or --settings.")
    if options.recipe is not None:
        settings = read_recipe(options.recipe).network.training
    else:
        content = read_json(options.settings)
        settings = settings_from_json(TrainingSettings, content, options.settings.name)
    if options.initial:
        settings = replace(settings, initial=str(find_bundle(options.initial)))
    result = fit_run(options.run, options.packed, settings, options.minutes, options.device)
    print(f"step {result['step']}{', finished' if result['finished'] else ''}")
    return INTERRUPTED if result["stopped"] else 0


def _evaluate(options: argparse.Namespace) -> int:
    from .dataset import read_dataset
    from .evaluation import evaluate_bundle

    dataset = read_dataset(options.data)
    result = evaluate_bundle(
        options.model, dataset.validation, options.output, options.device, dataset.values
    )
    print(result.as_table())
    return 0


def _export(options: argparse.Namespace) -> int:
    from .export import TrainedNetwork, export_bundle
    from .recipe import read_recipe

    recipe = read_recipe(options.recipe)
    localiser = None
    if options.localiser is not None:
        if recipe.localiser is None:
            raise InputError(f"The recipe {recipe.name} has no localiser. Leave --localiser out.")
        stage = recipe.localiser
        localiser = TrainedNetwork(options.localiser, stage.grid, stage.patch)
    network = TrainedNetwork(options.run, recipe.network.grid, recipe.network.patch)
    facts = {"recipe": recipe.name, "about": recipe.about}
    version, inference = options.model_version, recipe.inference
    export_bundle(
        options.output, options.name, version, network, localiser, facts, inference=inference
    )
    print(options.output)
    return 0


def _study(options: argparse.Namespace) -> int:
    from .study_cli import study

    signal.signal(signal.SIGTERM, interrupt)
    print(study(options))
    return 0


def _recipes(options: argparse.Namespace) -> int:
    from .recipe import read_recipe, recipe_names

    for name in recipe_names():
        print(f"{name}: {read_recipe(name).about}")
    return 0


def _runner(options: argparse.Namespace) -> JobRunner | None:
    if not options.scheduler and not options.workers:
        return None
    from .cluster import cluster_runner

    return cluster_runner(options.scheduler, options.workers)
