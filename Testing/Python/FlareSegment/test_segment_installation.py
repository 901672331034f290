"""What is missing is installed after asking, and nothing else is touched."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from segment_actions import choose

from FlareSegmentLib.errors import WorkerError
from FlareSegmentLib.panel_state import PanelState
from FlareSegmentLib.worker_state import WorkerState

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


class NoTorch:
    """An installer that never installs, as one without a network."""

    calls = 0

    def installTorch(self, **options):
        """Fail as pip does."""
        NoTorch.calls += 1
        raise RuntimeError("Could not connect to the package index.")


@pytest.fixture
def installation(module):
    """The part that looks for what is needed and installs it."""
    from FlareSegmentSlicer.shared import installation

    return installation


@pytest.fixture
def without_torch(monkeypatch, installation):
    """A Slicer in which torch is not installed and cannot be."""

    monkeypatch.setattr(installation, "torchIsInstalled", lambda: False)
    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = NoTorch
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    NoTorch.calls = 0
    return extension


def test_failed_installation_says_what_to_do_and_can_be_retried(
    without_torch, panel, add_scan, slicer_host
) -> None:
    choose(panel, add_scan())
    for attempt in (1, 2):
        panel.ui.applyButton.click()
        assert panel.state is PanelState.FAILED
        assert "Could not connect" in panel.ui.statusLabel.text
        assert "By hand" in panel.ui.logText.plainText
        assert panel.ui.applyButton.enabled
        assert NoTorch.calls == attempt


def test_panel_shows_installing(without_torch, panel, add_scan) -> None:
    seen: list[tuple] = []

    def look(self, **options):
        seen.append((panel.state, panel.ui.applyButton.enabled, panel.ui.statusLabel.text))

    without_torch.PyTorchUtilsLogic = type("Declined", (), {"installTorch": look})
    choose(panel, add_scan())
    panel.ui.applyButton.click()
    assert seen == [(PanelState.INSTALLING, False, "Installing what is needed...")]
    assert "PyTorch was not installed" in panel.ui.statusLabel.text


def test_missing_pytorch_extension_is_named(monkeypatch, installation, panel, add_scan) -> None:
    monkeypatch.setattr(installation, "torchIsInstalled", lambda: False)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    choose(panel, add_scan())
    panel.ui.applyButton.click()
    assert "Install the extension PyTorch" in panel.ui.statusLabel.text


@pytest.mark.parametrize("version", ["5.10", "5.12"])
def test_the_rest_is_installed_within_what_slicer_bundles(
    version, monkeypatch, without_torch, installation, slicer_host, tmp_path
) -> None:
    """Slicer 5.10 has no `slicer.packaging`; later ones have it, and do not import it."""
    import slicer

    calls: list[tuple[list[str], str]] = []

    def pipInstall(words, constraints=None, **_options):
        texts = [str(word) for word in words]
        place = constraints or texts[texts.index("-c") + 1]
        calls.append((texts, Path(place).read_text()))

    monkeypatch.setattr(installation, "torchIsInstalled", lambda: True)
    without_torch.PyTorchUtilsLogic = type("There", (), {"installTorch": lambda _, **kw: True})
    if version == "5.10":
        monkeypatch.setitem(sys.modules, "slicer.packaging", None)
        monkeypatch.setattr(slicer.util, "pip_install", pipInstall)
    else:
        packaging = importlib.import_module("slicer.packaging")
        monkeypatch.setattr(packaging, "pip_install", pipInstall)
        slicer_host.testing_enabled = False
        slicer_host.answer_next_dialog("OK")
    monkeypatch.delattr(slicer, "packaging", raising=False)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package-at-all\n", encoding="utf-8")
    installation.install(requirements)
    ((words, constraints),) = calls
    assert words[:2] == (["-r", str(requirements)] if version == "5.10" else words[:1])
    assert version == "5.10" or words == ["no-such-package-at-all"]
    assert f"numpy=={np.__version__}\n" in constraints


def test_installation_never_replaces_what_slicer_bundles(installation, python) -> None:
    """The constraints given to pip pin numpy, scipy and SimpleITK to what is there."""
    with installation.bundledVersions() as path:
        text = Path(path).read_text()
    assert f"numpy=={np.__version__}\n" in text
    assert "SimpleITK==" in text
    requirements = Path(python.__file__).with_name("Resources") / "requirements.txt"
    lines = [line for line in requirements.read_text().splitlines() if not line.startswith("#")]
    assert not any(line.lower().startswith(("numpy", "simpleitk", "torch")) for line in lines)


def test_torch_is_never_imported_into_slicer(panel, run, add_scan) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; from SlicerHost import start; h = start();"
        "h.load_module(__import__('pathlib').Path(sys.argv[2]) / 'FlareSegment.py').enter();"
        "print('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code, str(root / "Testing"), str(root / "FlareSegment")],
        capture_output=True,
        text=True,
    )
    assert ended.stdout.strip().endswith("False"), ended.stderr


def test_console_is_told_how_to_install(without_torch, logic, add_scan) -> None:
    """A script that nobody watches gets a sentence before a process is started."""
    volume = add_scan()
    for begin in (logic.process, logic.start):
        with pytest.raises(WorkerError, match=r"FlareSegmentLogic\.install\(\)"):
            begin(volume)
    assert logic.workerState is WorkerState.STOPPED


@pytest.mark.parametrize(
    ("torch", "numpy", "works"),
    [("2.2.2", "2.4.6", False), ("2.2.2", "1.26.4", True), ("2.13.0+cpu", "2.4.6", True)],
)
def test_numpy_2_needs_a_newer_torch(
    monkeypatch, installation, logic, add_scan, torch, numpy, works
) -> None:
    """On Macs PyTorch 2.2 is the newest for Slicer, which brings numpy 2."""
    versions = {"torch": torch, "numpy": numpy}
    monkeypatch.setattr(installation, "version", versions.get)
    volume = add_scan()
    if works:
        logic.process(volume)
        return
    with pytest.raises(WorkerError, match=r"numpy 1 only.*restart Slicer"):
        logic.process(volume)


def test_a_torch_that_macs_have_is_asked_for(installation, python, monkeypatch) -> None:
    """2.2.2 was the last one for Intel processors, which Slicer for Macs is built for."""
    from packaging.specifiers import SpecifierSet

    asked: list[str] = []

    def installTorch(self, askConfirmation, torchVersionRequirement):
        asked.append(torchVersionRequirement)
        return True

    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = type("There", (), {"installTorch": installTorch})
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    installation.install()
    assert SpecifierSet(asked[0]).contains("2.2.2")
