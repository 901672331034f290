"""With which weights a picture was made, kept within the PNG file."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, PngImagePlugin

KEY = "Model"


def sign(picture: Path, weights: str) -> None:
    """Write into a PNG with which weights it was made (`results_page.weights_of`)."""
    with Image.open(picture) as image:
        image.load()
        origin = PngImagePlugin.PngInfo()
        origin.add_text(KEY, weights)
        part = picture.with_name(f".{picture.name}.part")
        image.save(part, format="PNG", pnginfo=origin, optimize=True)
    part.replace(picture)


def weights_in(picture: Path) -> str:
    """Give the weights that a PNG was made with; "unknown" when it does not say."""
    with Image.open(picture) as image:
        return str(image.info.get(KEY, "unknown"))
