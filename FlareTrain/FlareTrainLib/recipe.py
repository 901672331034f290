"""A recipe: which parts make a model, as JSON. Reading one needs no PyTorch.

The papers' recipes and our best lie in ``Resources/Recipes``; any JSON file of the same form works.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .grid import PackSettings
from .refine_settings import RefineSettings
from .settings import Part, read_json, settings_from_json
from .train_resources import named_file, train_resources_folder
from .training_settings import TrainingSettings

if TYPE_CHECKING:
    from FlareSegmentLib.bundle import BundleInference


@dataclass(frozen=True)
class NetworkStage:
    """One network of a recipe.

    Attributes
    ----------
    grid
        The grid it works on.
    patch
        Largest window (k, j, i) voxels at inference.
    training
        How it is trained.
    share
        Its part of a time budget, relative to the other networks'.
    """

    grid: PackSettings = field(default_factory=PackSettings)
    patch: tuple[int, int, int] = (96, 160, 160)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    share: float = 1.0


@dataclass(frozen=True)
class Teacher:
    """A network that labels the dataset for the ones after it.

    Attributes
    ----------
    name
        Name of the pseudo-label source it becomes.
    network
        The network.
    folds
        With k above one, k networks are trained, each without a k-th of the cases, and become
        k sources (P5: 5).
    refine
        The labels it is trained on.
    needs
        Which cases it learns from: those where "some targets" of its own are known, or "all
        targets" (P5's organ teacher); where no case has all, those that have some.
    """

    name: str
    network: NetworkStage = field(default_factory=NetworkStage)
    folds: int = 1
    needs: Literal["some targets", "all targets"] = "some targets"
    refine: RefineSettings = field(default_factory=RefineSettings)


@dataclass(frozen=True)
class Inference:
    """How the model is run, in validation and by everyone who has the bundle, which carries it.

    Attributes
    ----------
    step
        Distance of neighbouring windows as a share of the window.
    upsampling
        "logits", or "labels": P1's fast inference, about 4 points of DSC worse.
    largest_only
        Keep only the largest component of every organ (P2, P4); tumors are exempt.
    window_filter
        Leave out rows of windows whose middle holds no organ (P3).
    tumor_outside
        Largest share of a tumor's surroundings that may lie outside all organs; 1 for no limit.
    logit_offsets
        Added to the logits of these targets: below zero draws them smaller.
    """

    step: float = 0.75
    upsampling: Literal["logits", "labels"] = "logits"
    largest_only: bool = False
    window_filter: bool = False
    tumor_outside: float = 1.0
    logit_offsets: dict[str, float] = field(default_factory=dict)

    def for_bundle(self) -> BundleInference:
        """Give the entry of ``model.json``."""
        from FlareSegmentLib.bundle import BundleInference

        return BundleInference(**asdict(self))


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a model from a dataset.

    Attributes
    ----------
    name
        Of the recipe and of the model.
    about
        For people: where it comes from, what makes it what it is.
    version
        Of the model.
    teachers
        Networks that label the dataset first, in this order.
    refine
        How truth and pseudo-labels become labels for `localiser` and `network`.
    localiser
        The coarse network that finds the organs, or None.
    network
        The network that segments.
    inference
        How the model is run.
    leg_minutes
        With a value, training pauses this often to validate, and the best bundle so far is kept;
        0 validates at the end.
    """

    name: str
    about: str = ""
    version: str = "1"
    teachers: tuple[Teacher, ...] = ()
    refine: RefineSettings = field(default_factory=RefineSettings)
    localiser: NetworkStage | None = None
    network: NetworkStage = field(default_factory=NetworkStage)
    inference: Inference = field(default_factory=Inference)
    leg_minutes: float = 0.0

    def __post_init__(self) -> None:
        names = [teacher.name for teacher in self.teachers]
        if len(set(names)) < len(names):
            raise ValueError("two teachers have the same name; give each its own")
        if any(not name or "/" in name for name in (self.name, *names)):
            raise ValueError("names of recipes and teachers must be plain file names")
        if self.localiser is not None:
            one, other = self.localiser.training, self.network.training
            if one.activation != other.activation or one.targets != other.targets:
                raise ValueError(
                    "localiser and network must have the same targets, and losses of the same "
                    "kind (both softmax or both sigmoid), because one model holds both"
                )

    def with_steps(self, steps: int) -> Recipe:
        """Give the same recipe with every network trained for this many steps."""
        return replace(
            self,
            teachers=tuple(
                replace(teacher, network=_with_steps(teacher.network, steps))
                for teacher in self.teachers
            ),
            localiser=None if self.localiser is None else _with_steps(self.localiser, steps),
            network=_with_steps(self.network, steps),
        )


def _with_steps(stage: NetworkStage, steps: int) -> NetworkStage:
    """Give the stage a schedule of another length, of which each part keeps its share."""
    training = stage.training
    share = steps / training.fit.steps
    arguments = dict(training.schedule.arguments)
    if "warm_up" in arguments:
        arguments["warm_up"] = round(share * arguments["warm_up"])
    return replace(
        stage,
        training=replace(
            training,
            fit=replace(training.fit, steps=steps),
            schedule=Part(training.schedule.name, arguments),
            sampling=replace(
                training.sampling, full_first=round(share * training.sampling.full_first)
            ),
        ),
    )


def recipes_folder() -> Path:
    """Folder of the recipes that come with FlareTrain."""
    return train_resources_folder() / "Recipes"


def recipe_names() -> list[str]:
    """Names of the recipes that come with FlareTrain."""
    return sorted(path.stem for path in recipes_folder().glob("*.json"))


def read_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by the name of a shipped one, or from a JSON file.

    Raises
    ------
    InputError
        When there is none of that name, or it has a setting that is unknown or wrong.
    """
    path = named_file(recipes_folder(), name_or_path, "recipe")
    return settings_from_json(Recipe, read_json(path), f"The recipe {path.name}")
