"""The process that does a task: ``python -m FlareTrainLib.task FOLDER``; see `task_folder`."""

from __future__ import annotations

import _thread
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import Cancelled, FlareError

from .settings import write_json
from .task_folder import OUTCOME, STOP, TaskState, read_request

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
"""Time between two looks for a wish to stop."""

_STOPPED = "Stopped; everything done so far is saved."


def main(arguments: list[str] | None = None) -> int:
    """Do the task of a folder and leave its outcome there; 0 when it was done."""
    (folder,) = (Path(text) for text in (arguments or sys.argv[1:]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    signal.signal(signal.SIGTERM, _interrupt)
    state, message = _outcome(folder)
    # The outcome is written even when the wish to stop comes now.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logger.info("%s. %s", state.value, message)
    write_json(folder / OUTCOME, {"state": state.value, "message": message})
    return 0 if state is TaskState.FINISHED else 1


def _outcome(folder: Path) -> tuple[TaskState, str]:
    try:
        # Begun here: the wish may be there already, and is acted on from the first look.
        threading.Thread(target=_watch, args=(folder / STOP,), daemon=True).start()
        kind, wanted = read_request(folder)
        return TaskState.FINISHED, TASKS[kind](folder, wanted) or ""
    except (Cancelled, KeyboardInterrupt):
        return TaskState.STOPPED, _STOPPED
    except FlareError as error:
        return TaskState.FAILED, str(error)
    except MemoryError:
        return TaskState.FAILED, (
            "There is not enough memory. Close other programs, choose a recipe with a coarser "
            "grid, or use a computer with more."
        )
    except Exception as error:
        logger.exception("the task failed")
        return TaskState.FAILED, f"{type(error).__name__}: {error}. The log has the details."


def _train(folder: Path, wanted: dict[str, Any]) -> str:
    from .training_task import train

    return train(folder, wanted)


def _check(folder: Path, wanted: dict[str, Any]) -> str:
    from .activity import told_in
    from .case_table import write_report
    from .dataset_check import check_dataset

    with told_in(folder):
        report = check_dataset(Path(wanted["data"]))
    write_report(folder, report)
    return f"{len(report.cases)} cases, {len(report.findings)} findings."


def _refine(folder: Path, wanted: dict[str, Any]) -> str:
    from .activity import told_in
    from .refinement_task import refine

    with told_in(folder):
        return refine(folder, wanted)


def _add(folder: Path, wanted: dict[str, Any]) -> str:
    from .add_case import add_staged_case

    return add_staged_case(folder, wanted)


def _list(folder: Path, wanted: dict[str, Any]) -> str:
    from .case_table import write_listing

    return write_listing(folder, Path(wanted["data"]), Path(wanted["checked"]))


def _view(folder: Path, wanted: dict[str, Any]) -> str:
    from .case_view import prepare_view

    return prepare_view(folder, wanted)


def _source(folder: Path, wanted: dict[str, Any]) -> str:
    from .source_folder import add_source

    return f"Added {add_source(Path(wanted['data']), Path(wanted['source'])).name}."


def _foresee(folder: Path, wanted: dict[str, Any]) -> str:
    from .run_check import foresee

    return foresee(wanted)


def _practice(folder: Path, wanted: dict[str, Any]) -> str:
    from .practice_data import make_practice_dataset

    return make_practice_dataset(Path(wanted["data"]))


def _install(folder: Path, wanted: dict[str, Any]) -> str:
    from .model_install import install

    place = Path(wanted["place"])
    name, about = wanted["name"], wanted["description"]
    return str(install(Path(wanted["run"]), place, name, about, wanted["replace"]))


TASKS: dict[str, Callable[[Path, dict[str, Any]], str]] = {
    "train": _train,
    "check": _check,
    "refine": _refine,
    "add": _add,
    "list": _list,
    "view": _view,
    "source": _source,
    "foresee": _foresee,
    "install": _install,
    "practice": _practice,
}


def _watch(wish: Path) -> None:
    """Turn the file into the signal that the training ends on."""
    while not wish.exists():
        time.sleep(_LOOK_SECONDS)
    _thread.interrupt_main(signal.SIGTERM)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
