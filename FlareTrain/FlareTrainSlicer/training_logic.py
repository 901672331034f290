"""What the module's logic does: runs, other processes, cases into the scene and out of it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from FlareSegmentSlicer.shared.worker_python import workerPython
from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.add_case import NewCase
from FlareTrainLib.case_view import prepare_view
from FlareTrainLib.model_install import install, installed_at
from FlareTrainLib.refinement_task import REFINEMENT
from FlareTrainLib.run_check import foresee
from FlareTrainLib.run_folder import RunProgress, RunSettings
from FlareTrainLib.task_folder import TaskStatus

from .case_loader import viewKey
from .case_nodes import nodeSteps
from .case_staging import stagingSteps
from .dataset_section import ADDED, CHECK
from .jobs import inTemporaryFolder
from .steps import atOnce


class TrainingLogic:
    """Starts processes and looks at their folders; works without any window."""

    # --- runs --------------------------------------------------------------------------------

    @staticmethod
    def createRun(settings: RunSettings, name: str = "") -> Path:
        """Make a run's folder in the dataset; it is not started."""
        return run_folder.create_run(settings, name)

    @staticmethod
    def start(run: Path) -> None:
        """Start a run, or go on with it, as a process that outlives Slicer."""
        run_folder.follow_dataset(run)
        task_folder.start(run, workerPython())

    @staticmethod
    def stop(run: Path) -> None:
        """Ask a run to save and end; returns at once."""
        task_folder.stop(run)

    @staticmethod
    def status(run: Path) -> tuple[TaskStatus, RunProgress]:
        """Give the state of a run and how far it is: `TaskStatus`, `RunProgress`."""
        return task_folder.status(run), run_folder.progress(run)

    @staticmethod
    def installedAt(run: Path, place: Path | None = None, name: str = "") -> Path:
        """Give the folder that `install` copies the run's model to."""
        return installed_at(run, place, name)

    @staticmethod
    def install(
        run: Path,
        place: Path | None = None,
        replace: bool = False,
        name: str = "",
        description: str = "",
    ) -> Path:
        """Copy the run's model to where FlareSegment finds it, or to `place`; its folder."""
        return install(run, place, name, description, replace)

    @staticmethod
    def warningOf(settings: RunSettings) -> str:
        """Say why a run will probably fail, "" when nothing is known against it."""
        place = str(settings.data / run_folder.RUNS)
        return foresee({**run_folder.run_arguments(settings), "place": place})

    # --- other processes ---------------------------------------------------------------------

    def startCheck(self, data: Path) -> Path:
        """Let a process check a dataset; the folder of the task."""
        task_folder.write_request(data / CHECK, "check", {"data": str(data.resolve())})
        task_folder.start(data / CHECK, workerPython())
        return data / CHECK

    def startRefinement(
        self,
        data: Path,
        models: dict[str, Path],
        sources: list[str],
        recipe: str = "best",
        device: str = "auto",
    ) -> Path:
        """Let a process label with models and compare all sources; the folder of the task."""
        arguments = {
            "data": str(data.resolve()),
            "models": {name: str(folder) for name, folder in models.items()},
            "sources": sources,
            "recipe": run_folder.recipe_file(recipe),
            "device": device,
        }
        task_folder.write_request(data / REFINEMENT, "refine", arguments)
        task_folder.start(data / REFINEMENT, workerPython())
        return data / REFINEMENT

    def startAddCase(self, data: Path, case: NewCase, volume: Any, segmentation: Any) -> Path:
        """Let a process write a volume and its segmentation as a case; the folder of the task.

        Raises
        ------
        InputError
            When the name or the nodes cannot be used.
        """
        folder: Path = atOnce(self.addCaseSteps(data, case, volume, segmentation))
        return folder

    def addCaseSteps(
        self, data: Path, case: NewCase, volume: Any, segmentation: Any
    ) -> Generator[None, None, Path]:
        """Do the same in steps, between which a window lives."""
        folder = data / ADDED / (case.name or "case")
        arguments = yield from stagingSteps(folder, data, case, volume, segmentation)
        task_folder.write_request(folder, "add", arguments)
        task_folder.start(folder, workerPython())
        return folder

    # --- cases into the scene ----------------------------------------------------------------

    @staticmethod
    def viewRequest(
        data: Path, name: str, run: Path | None = None, disagreement: bool = False
    ) -> dict[str, Any]:
        """Give the arguments of the task that reads a case."""
        return {
            "data": str(data.resolve()),
            "case": name,
            "run": str(run.resolve()) if run else None,
            "disagreement": disagreement,
        }

    @classmethod
    def loadCase(
        cls, data: Path, name: str, run: Path | None = None, disagreement: bool = False
    ) -> tuple:
        """Load a case; the volume, and its segmentations.

        These are what is annotated and what `run` predicted; or, with `disagreement`, the first
        source of pseudo-labels and where the sources differ.
        """
        wanted = cls.viewRequest(data, name, run, disagreement)

        def read(folder: Path) -> tuple:
            prepare_view(folder, wanted)
            nodes: tuple = atOnce(nodeSteps(folder, viewKey(wanted)))
            return nodes

        nodes: tuple = inTemporaryFolder(read)
        return nodes
