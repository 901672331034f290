"""What a new training is made from: the upper half of the panel's section Training."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from FlareSegmentLib import model_choice
from FlareSegmentLib.errors import FlareError, InputError
from FlareTrainLib.case_split import FOLDS
from FlareTrainLib.recipe import read_recipe, recipe_names
from FlareTrainLib.run_folder import RunSettings

DEFAULT = "tune"
"""Needs the fewest scans, and the least time, to give a model that can be used."""


class TrainingChoices:
    """Recipe, model to start from, validation cases."""

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        panel.ui.recipeComboBox.connect("activated(int)", self.onRecipeActivated)
        self._fillRecipes()
        self._fillFolds()

    def recipe(self) -> str:
        """Give the name or path of the chosen recipe."""
        return self.panel.ui.recipeComboBox.currentData or ""

    def _fillRecipes(self) -> None:
        combo = self.panel.ui.recipeComboBox
        for name in recipe_names():
            if name != "base":  # the bundled model's, for the project's own data
                combo.addItem(name, name)
        combo.addItem(_("Other file..."), "")
        combo.setCurrentIndex(max(combo.findData(DEFAULT), 0))
        self.panel.ui.recipeNoteLabel.text = read_recipe(self.recipe()).about

    def _fillFolds(self) -> None:
        combo = self.panel.ui.foldComboBox
        combo.addItem(_("the validation cases of the table"), 0)
        for fold in range(1, FOLDS + 1):
            text = _("fold {n} of {folds} of the annotated training cases")
            combo.addItem(text.format(n=fold, folds=FOLDS), fold)

    def fillModels(self) -> None:
        """List the models that a training can start from."""
        combo = self.panel.ui.initialComboBox
        chosen = combo.currentData
        combo.clear()
        combo.addItem(_("what the recipe says"), "")
        for choice in model_choice.available_models():
            text = _("{name} (bundled)") if choice.bundled else "{name}"
            combo.addItem(text.format(name=choice.name), str(choice.folder))
        combo.setCurrentIndex(max(combo.findData(chosen or ""), 0))

    def onRecipeActivated(self, index: int) -> None:
        """Take the user's choice of a recipe."""
        recipe = self.panel.ui.recipeComboBox.itemData(index)
        if not recipe:
            recipe = qt.QFileDialog.getOpenFileName(
                self.panel.parent, _("Recipe"), "", _("Recipes (*.json)")
            )
        self.chooseRecipe(recipe or DEFAULT)

    def chooseRecipe(self, nameOrPath: str) -> None:
        """Choose a recipe by its name or file."""
        combo = self.panel.ui.recipeComboBox
        try:
            recipe = read_recipe(nameOrPath)
        except FlareError as error:
            self.panel.showError(_("This is no recipe."), error)
            nameOrPath = DEFAULT
            recipe = read_recipe(nameOrPath)
        if combo.findData(nameOrPath) < 0:
            combo.insertItem(0, recipe.name, nameOrPath)
        combo.setCurrentIndex(combo.findData(nameOrPath))
        self.panel.ui.recipeNoteLabel.text = recipe.about
        self.panel.updateGUI()

    def settings(self) -> RunSettings:
        """Give what a new run is to be made from.

        Raises
        ------
        InputError
            When the dataset is gone, or a model is among the sources that has not labeled the
            scans yet.
        """
        panel, ui, node = self.panel, self.panel.ui, self.panel.parameterNode
        data = panel.data()
        if data is None:
            raise InputError(_("The dataset folder is not there. Choose one under Dataset."))
        models, sources = panel.refinement.chosenSources()
        if models:
            raise InputError(
                _(
                    "The scans have not been labeled with {name} yet. Click Refine first, or "
                    "uncheck it among the sources."
                ).format(name=min(models))
            )
        return RunSettings(
            data,
            self.recipe(),
            node.device.value,
            node.minutes or None,
            sources=tuple(sources),
            fold=ui.foldComboBox.currentData or None,
            initial=ui.initialComboBox.currentData or "",
        )

    @property
    def nobodyJudges(self) -> bool:
        """Whether no case would score the model."""
        rows = self.panel.dataset.listing.rows
        fold = self.panel.ui.foldComboBox.currentData
        return not fold and not any(row.part == "validation" for row in rows)
