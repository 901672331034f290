"""PyTorch and what else is missing: looked for, and installed after asking."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import slicer
from slicer.i18n import tr as _

BUNDLED = ("numpy", "scipy", "SimpleITK")
"""Packages that Slicer brings along and that must stay as they are."""

TORCH = ">=2.2"
"""What is asked for. 2.2 is the last for Intel processors, which Slicer for Macs is made for."""

_TORCH_WITH_NUMPY_2 = (2, 3)
"""The first PyTorch that works with numpy 2."""

_REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"


def torchIsInstalled() -> bool:
    """Tell whether the worker will find torch; it is never imported into Slicer itself."""
    return importlib.util.find_spec("torch") is not None


def reasonNotToRun() -> str:
    """Say what the worker lacks and what to do, "" when nothing."""
    if not torchIsInstalled():
        return _(
            "PyTorch is not installed. Call FlareSegmentLogic.install(), or click Segment in the "
            "module, which offers to install it."
        )
    try:
        torch, numpy = version("torch"), version("numpy")
    except PackageNotFoundError:  # not installed by pip; it may work
        return ""
    if _numbers(torch) >= _TORCH_WITH_NUMPY_2 or _numbers(numpy) < (2,):
        return ""
    return _(
        "PyTorch {torch} works with numpy 1 only, and numpy {numpy} is installed. Update the "
        "extension PyTorch and click Install PyTorch in its module PyTorch Utils, or type "
        "slicer.util.pip_install('numpy<2') in the Python console. Then restart Slicer."
    ).format(torch=torch, numpy=numpy)


def _numbers(text: str) -> tuple[int, ...]:
    """Major and minor number of a version."""
    return tuple(int(part) for part in text.split(".")[:2])


def ensureInstalled() -> None:
    """Install what is missing, after asking, when torch is not there; see `install`."""
    if not torchIsInstalled():
        install()


def install(requirements: str | Path = _REQUIREMENTS) -> None:
    """Install what is missing, after asking; never numpy or SimpleITK.

    Parameters
    ----------
    requirements
        A requirements file with what is needed besides PyTorch.

    Raises
    ------
    RuntimeError
        When the user declined or the installation failed; the text says what to do by hand.
    """
    try:
        import PyTorchUtils
    except ImportError as error:
        raise RuntimeError(
            _(
                "PyTorch is needed and is installed by the PyTorch extension, which is not "
                "there. Install the extension PyTorch in the Extensions Manager, restart "
                "Slicer, and try again."
            )
        ) from error
    byHand = _(
        "Try again with the same button. Behind a proxy set HTTPS_PROXY before Slicer starts. By "
        "hand: open the module PyTorch Utils and click Install PyTorch."
    )
    with bundledVersions() as constraints:
        try:
            torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=True, torchVersionRequirement=TORCH
            )
            _pipEnsure(str(requirements), constraints)
        except Exception as error:  # pip and its helpers raise whatever they like
            raise RuntimeError(
                _("The installation failed: {error}\n\n{byHand}").format(error=error, byHand=byHand)
            ) from error
    importlib.invalidate_caches()
    if torch is None or not torchIsInstalled():
        raise RuntimeError(_("PyTorch was not installed. {byHand}").format(byHand=byHand))


def _pipEnsure(requirements: str, constraints: str) -> None:
    """Install what is missing of a requirements file, within a constraints file."""
    try:
        # Not loaded by `import slicer`, and not there before Slicer 5.12.
        from slicer.packaging import load_requirements, pip_ensure
    except ImportError:
        # pip installs nothing when all is there, which is why nothing is asked here.
        slicer.util.pip_install(["-r", requirements, "-c", constraints])
        return
    pip_ensure(load_requirements(requirements), constraints=constraints, requester="FlareSegment")


@contextmanager
def bundledVersions() -> Iterator[str]:
    """Give the path of a pip constraints file that keeps `BUNDLED` as they are."""
    lines = []
    for name in BUNDLED:
        try:
            lines.append(f"{name}=={version(name)}\n")
        except PackageNotFoundError:
            continue
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(lines), encoding="utf-8")
        yield str(path)
