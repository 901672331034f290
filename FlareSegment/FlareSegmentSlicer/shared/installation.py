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

_REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"


def torchIsInstalled() -> bool:
    """Tell whether the worker will find torch; it is never imported into Slicer itself."""
    return importlib.util.find_spec("torch") is not None


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
        "hand: open the module PyTorch Util and click Install PyTorch."
    )
    with bundledVersions() as constraints:
        try:
            torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=True, torchVersionRequirement=">=2.4"
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
