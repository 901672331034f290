#!/usr/bin/env python-real
"""FlareSegment as a command-line module of Slicer and other SlicerExecutionModel hosts.

The host passes what FlareSegmentCLI.xml describes and reads progress from the standard output.
Exit codes: 0 done, 1 an error whose sentence is on the standard error, 2 wrong arguments.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def find_engine() -> None:
    """Put the folder of FlareSegmentLib on the module path.

    Installed, only this file and its .xml are in ``cli-modules``; the package is next door in
    ``qt-scripted-modules``. In the source tree it is one folder up.
    """
    for folder in (HERE.parent / "qt-scripted-modules", HERE.parent):
        if (folder / "FlareSegmentLib").is_dir():
            # Behind the standard library, so that no file there can hide one of its modules.
            sys.path.append(str(folder))
            return
    raise SystemExit(
        "The package FlareSegmentLib was not found next to this module. The installation is "
        "incomplete; install the extension again."
    )


class ProgressPrinter:
    """Tells the host how far the run is, in the tags it looks for."""

    def __init__(self) -> None:
        from FlareSegmentLib.run_progress import RunProgress

        self._progress = RunProgress()
        self._start = time.monotonic()
        self._stage = ""
        _say("<filter-start>")
        _say("<filter-name>FlareSegment</filter-name>")
        _say("<filter-comment>Segmenting</filter-comment>")
        _say("</filter-start>")

    def __call__(self, stage: str, fraction: float) -> None:
        """Take a step of the engine."""
        self._progress.update(stage, fraction)
        if stage != self._stage:
            self._stage = stage
            _say(f"<filter-comment>{stage}</filter-comment>")
        _say(f"<filter-stage-progress>{fraction:.3f}</filter-stage-progress>")
        _say(f"<filter-progress>{self._progress.fraction:.3f}</filter-progress>")

    def end(self) -> None:
        """Say that the run is over."""
        _say("<filter-progress>1</filter-progress>")
        _say("<filter-end>")
        _say("<filter-name>FlareSegment</filter-name>")
        _say(f"<filter-time>{time.monotonic() - self._start:.2f}</filter-time>")
        _say("</filter-end>")


def _say(text: str) -> None:
    # Flushed: the host reads a pipe, which is otherwise handed over in large pieces.
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def segment(options: argparse.Namespace) -> None:
    """Read, segment, write."""
    from FlareSegmentLib.labels import parse_targets, target_by_key
    from FlareSegmentLib.model_choice import read_choice
    from FlareSegmentLib.reading import read_volume
    from FlareSegmentLib.region import box_of_corners, corners_of_bounds, is_rotated
    from FlareSegmentLib.statistics import organ_statistics
    from FlareSegmentLib.statistics_table import statistics_csv
    from FlareSegmentLib.writing import write_label_map

    # None stands for all that the model knows, which may be fewer than all.
    wanted = None if options.targets.strip().lower() in ("", "all") else options.targets
    targets = None if wanted is None else parse_targets(wanted)
    if options.model:
        read_choice(Path(options.model))
    corners = corners_of_bounds(options.region) if options.region else None
    progress = ProgressPrinter()
    volume = read_volume(Path(options.inputVolume))
    region = None
    if corners is not None:
        region = box_of_corners(corners, volume.affine, volume.array.shape)
    # torch takes seconds to import; wrong arguments are told before.
    from FlareSegmentLib.bundle import ModelBundle, bundled_model
    from FlareSegmentLib.segmenter import Segmenter

    model = Path(options.model) if options.model else bundled_model()
    segmenter = Segmenter(ModelBundle.load(model), options.device)
    result = segmenter.segment(volume, targets, progress, region=region)
    looked_for = [target_by_key(key) for key in result.targets]
    write_label_map(Path(options.outputLabelMap), result.array, result.affine, looked_for)
    rows = organ_statistics(result.array, volume.array, volume.affine, result.targets)
    if options.statistics:
        text = statistics_csv(rows)
        Path(options.statistics).write_text(text, encoding="utf-8-sig", newline="")
    progress.end()
    found = [row["name"] for row in rows if row["voxels"]]
    _say(f"Found: {', '.join(found) if found else 'none of the structures'}")
    for note in result.report.get("notes", ()):
        _say(note)
    if corners is not None and is_rotated(corners, volume.affine):
        _say("The scan is oblique: the region was widened along the scan's own axes.")


def parser() -> argparse.ArgumentParser:
    """Give the parser of what FlareSegmentCLI.xml describes."""
    arguments = argparse.ArgumentParser(prog="FlareSegmentCLI", description=__doc__)
    arguments.add_argument("--targets", default="all")
    arguments.add_argument("--device", default="auto")
    arguments.add_argument("--model", default="")
    arguments.add_argument("--statistics", default="")
    arguments.add_argument("--region", default="")
    arguments.add_argument("--xml", action="store_true", help="print the description and end")
    # Hosts may pass these to any module; they are for compiled ones.
    arguments.add_argument("--returnparameterfile", help=argparse.SUPPRESS)
    arguments.add_argument("--processinformationaddress", help=argparse.SUPPRESS)
    arguments.add_argument("inputVolume", nargs="?")
    arguments.add_argument("outputLabelMap", nargs="?")
    return arguments


def main(arguments: list[str] | None = None) -> int:
    """Run the module; give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character of a path must not end the run.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    command_line = parser()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--region" in words[:-1]:
        # Its value may begin with a minus, which would be taken for another option.
        place = words.index("--region")
        words[place : place + 2] = [f"--region={words[place + 1]}"]
    options = command_line.parse_args(words)
    if options.xml:
        _say((HERE / "FlareSegmentCLI.xml").read_text(encoding="utf-8"))
        return 0
    if options.inputVolume is None or options.outputLabelMap is None:
        command_line.error("an input volume and an output label map are needed")
    find_engine()
    from FlareSegmentLib.errors import FlareError
    from FlareSegmentLib.waiting_threads import let_threads_sleep

    let_threads_sleep()
    try:
        segment(options)
    except (FlareError, OSError, MemoryError) as error:
        text = str(error) or "The memory of this computer was not enough for this scan."
        sys.stderr.write(f"{text}\n")
        return 1
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        sys.stderr.write(
            "PyTorch is not installed. In Slicer, open the module FLARE Abdomen Segmentation and "
            "click Segment, which offers to install it; elsewhere install the package torch.\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
