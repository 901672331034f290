"""The command ``flare-train study``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    add = parser.add_argument
    add("--data", required=True, type=Path, metavar="DATA", help="dataset folder")
    add("--out", required=True, type=Path, metavar="OUT", help="folder of the study")
    study = "name of a study (small, large), or a JSON file; large with a GPU, small without"
    add("--study", default="", metavar="STUDY", help=study)
    add("--page", type=Path, metavar="FILE", help="Markdown file that gets the tables")
    add("--minutes", type=float, help="begin no run later than this (all runs)")
    add("--tables-only", action="store_true", help="write the tables of what is finished")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(%(default)s)")


def study(options: argparse.Namespace) -> str:
    """Do the runs that are missing, and write the tables after each; the tables."""
    from FlareSegmentLib.devices import choose_device

    from .study import run_study
    from .study_settings import read_study
    from .study_table import tables, write_tables

    device, _ = choose_device(options.device)
    settings = read_study(options.study or ("small" if device.type == "cpu" else "large"))

    def write() -> None:
        if options.page is not None:
            write_tables(settings, options.out, options.page)

    if options.tables_only:
        write()
    else:
        run_study(settings, options.data, options.out, options.device, options.minutes, write)
    return tables(settings, options.out)
