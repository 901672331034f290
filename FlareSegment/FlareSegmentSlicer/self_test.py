"""The module's own test, run by Slicer's Reload and Test, SelfTests and ctest."""

from __future__ import annotations

import unittest
from typing import Any, ClassVar

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from FlareSegmentLib import labels

from .shared import installation


class SelfTest(ScriptedLoadableModuleTest):
    """Runs the product on a synthetic scan; needs neither network nor GPU."""

    logicClass: ClassVar[Any]
    """The module's logic."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests."""
        self.setUp()
        try:
            self.test_segments_a_phantom()
        except unittest.SkipTest as reason:
            self.delayDisplay(f"Skipped: {reason}")

    def test_segments_a_phantom(self) -> None:
        """A synthetic abdomen comes back with a liver where it was put."""
        # Here and not in `runTest`: ctest calls the test methods themselves.
        if not installation.torchIsInstalled():
            self.skipTest("PyTorch is not installed.")
        from FlareSegmentLib.phantom.generate import PhantomSettings, make_phantom

        self.delayDisplay("Making a synthetic scan")
        settings = PhantomSettings(seed=1, spacing=(5.0, 3.0, 3.0), bottom_mm=-60, top_mm=130)
        scan, truth = make_phantom(settings)
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
        slicer.util.updateVolumeFromArray(volume, scan.array)
        volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(scan.affine))
        logic = self.logicClass()
        segmentation = logic.process(volume, targets=["liver"])
        liver = labels.target_by_key("liver")
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, liver.key, volume) > 0
        expected = truth == liver.id
        overlap = 2 * (mask & expected).sum() / (mask.sum() + expected.sum())
        self.assertGreater(overlap, 0.8)  # noqa: PT009  (Slicer's test classes are unittest's)
        table = logic.statistics(segmentation, volume)
        self.assertEqual(table.GetNumberOfRows(), 1)  # noqa: PT009
        logic.stopWorker()
        self.delayDisplay("Test passed")
