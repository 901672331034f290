"""The command ``flare-train``; nothing slow is imported before it is needed."""

from __future__ import annotations

import argparse
import logging
import signal
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from FlareSegmentLib import __version__
from FlareSegmentLib.command_line import INTERRUPTED, accept_all_letters, exit_code, interrupt
from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.waiting_threads import let_threads_sleep

from .cli_arguments import add_commands

if TYPE_CHECKING:
    from .pseudo_labels import JobRunner
    from .recipe import NetworkStage, Recipe

PROGRAM = "flare-train"

WIDTH = 96
"""Columns of what is printed."""

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Train models for FlareSegment from CT scans with partial labels or none.

A dataset is a folder in nnU-Net's raw layout: imagesTr, labelsTr, dataset.json, and annotated.json,
which says what was annotated in which case. The usual order is: check, then run."""

_EPILOG = """\
exit code: 0 when all went well, 1 when something failed, 2 for a wrong command line, 130 when it
was stopped. Every command can be stopped and goes on where it was when it is run again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, that of this process by default; the exit code (see the help)."""
    accept_all_letters()
    let_threads_sleep()
    options = _parser().parse_args(arguments)
    told = logging.StreamHandler()
    told.setFormatter(_Lines("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING if options.quiet else logging.INFO, handlers=[told])
    return exit_code(PROGRAM, lambda: _done(options))


class _Lines(logging.Formatter):
    """Time and text; what needs attention says so."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if record.levelno < logging.WARNING else f"{line[:8]} Please note:{line[8:]}"


def _done(options: argparse.Namespace) -> int:
    """Do the command; what the system refuses is told in a sentence too."""
    try:
        code: int = options.function(options)
        return code
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise OutputError(
            f"{where}{error.strerror or error}. Check that the folders are there, may be written "
            "and have free space; then start the same command again."
        ) from error
    except MemoryError as error:
        raise OutputError(
            "There is not enough memory. Close other programs, choose a recipe with a coarser grid "
            "or smaller patches, or use a computer with more."
        ) from error


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=_DESCRIPTION, epilog=_EPILOG, formatter_class=form
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    add_commands(
        parser,
        {
            "check": _check,
            "run": _run,
            "base": _run,
            "pseudo": _pseudo,
            "refine": _refine,
            "pack": _pack,
            "fit": _fit,
            "evaluate": _evaluate,
            "export": _export,
            "average": _average,
            "study": _study,
            "recipes": _recipes,
        },
    )
    return parser


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
    logger.info("the model is ready: flare-segment SCAN -o OUT --model %s", bundle)
    print(bundle)
    return 0


def _pseudo(options: argparse.Namespace) -> int:
    from .initial_weights import find_bundle
    from .pseudo_labels import label_scans, scans_of

    model, scans = find_bundle(options.model), scans_of(options.data)
    paths = label_scans(model, scans, options.output, options.device, _runner(options))
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
    grid = _stage(read_recipe(options.recipe), options.part).grid
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
        settings = _stage(read_recipe(options.recipe), options.part).training
    else:
        content = read_json(options.settings)
        settings = settings_from_json(TrainingSettings, content, options.settings.name)
    if options.initial:
        settings = replace(settings, initial=str(find_bundle(options.initial)))
    result = fit_run(options.run, options.packed, settings, options.minutes, options.device)
    print(f"step {result.step}{', finished' if result.finished else ''}")
    return INTERRUPTED if result.stopped else 0


def _evaluate(options: argparse.Namespace) -> int:
    from .dataset import read_dataset
    from .evaluation import evaluate_bundle
    from .initial_weights import find_bundle

    model, dataset = find_bundle(options.model), read_dataset(options.data)
    result = evaluate_bundle(
        model, dataset.validation, options.output, options.device, dataset.values
    )
    print(result.as_table())
    return 0


def _export(options: argparse.Namespace) -> int:
    from .export import TrainedNetwork, export_bundle
    from .recipe import read_recipe

    recipe = read_recipe(options.recipe)
    localiser = None
    if options.localiser is not None:
        stage = _stage(recipe, "localiser")
        localiser = TrainedNetwork(options.localiser, stage.grid, stage.patch)
    network = TrainedNetwork(options.run, recipe.network.grid, recipe.network.patch)
    facts = {"recipe": recipe.name, "about": recipe.about}
    version, inference = options.model_version, recipe.inference
    export_bundle(
        options.output, options.name, version, network, localiser, facts, inference=inference
    )
    print(options.output)
    return 0


def _average(options: argparse.Namespace) -> int:
    from .averaging import average_bundles
    from .initial_weights import find_bundle

    models = [find_bundle(model) for model in options.models]
    average_bundles(models, options.output, options.name, options.model_version)
    print(options.output)
    return 0


def _stage(recipe: Recipe, part: str) -> NetworkStage:
    if part == "network":
        return recipe.network
    if recipe.localiser is None:
        raise InputError(f"The recipe {recipe.name} has no localiser; it is one network.")
    return recipe.localiser


def _study(options: argparse.Namespace) -> int:
    from .study_cli import study

    signal.signal(signal.SIGTERM, interrupt)
    print(study(options))
    return 0


def _recipes(options: argparse.Namespace) -> int:
    from .recipe import read_recipe, recipe_names

    for name in recipe_names():
        text = f"{name}: {read_recipe(name).about}"
        print(textwrap.fill(text, WIDTH, subsequent_indent="  "))
    return 0


def _runner(options: argparse.Namespace) -> JobRunner | None:
    if not options.scheduler and not options.workers:
        return None
    from .cluster import cluster_runner

    return cluster_runner(options.scheduler, options.workers)
