"""The text-driven segmentor of P2: text embeddings write the last layers of the network.

A controller reads the embedding of a target's prompt together with the image's global feature
and gives the weights of three 1x1x1 convolutions (8, 8 and 1 channels) for that target. The
embeddings are constants and live in the weights file; no text encoder is needed to segment.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 8
"""Channels of the dynamic convolutions (P2, section 2.2)."""

DYNAMIC_PARAMETERS = 2 * (WIDTH * WIDTH + WIDTH) + WIDTH + 1
"""Weights and biases of the three dynamic convolutions of one target: 153."""

GROUPS = 8

CHUNK = 2**18
"""Voxels per step outside training: 112 intermediate channels then take 117 MB in float32."""


class TextDrivenHead(nn.Module):
    """One binary segmentation per text embedding.

    Parameters
    ----------
    classes, text_features
        Shape of the embeddings.
    fine, deep
        Channels of the decoder's and of the encoder's last features.
    hidden
        Features of text and image in the controller.
    """

    embeddings: Tensor

    def __init__(
        self, classes: int, text_features: int, fine: int, deep: int, hidden: int = 256
    ) -> None:
        super().__init__()
        # Random until real embeddings are set: targets must differ for the head to learn at all.
        self.register_buffer("embeddings", torch.randn(classes, text_features))
        self.text = nn.Sequential(nn.Linear(text_features, hidden), nn.ReLU())
        self.image_norm = nn.Sequential(nn.GroupNorm(GROUPS, deep), nn.ReLU())
        self.image = nn.Linear(deep, hidden)
        self.controller = nn.Linear(2 * hidden, DYNAMIC_PARAMETERS)
        self.features = nn.Sequential(
            nn.GroupNorm(GROUPS, fine), nn.ReLU(), nn.Conv3d(fine, WIDTH, 1)
        )

    def set_embeddings(self, embeddings: Tensor) -> None:
        """Take over real embeddings (classes, text_features).

        Raises
        ------
        ValueError
            If the shape is another.
        """
        if embeddings.shape != self.embeddings.shape:
            raise ValueError(
                f"text embeddings have the shape {tuple(embeddings.shape)}, the network needs "
                f"{tuple(self.embeddings.shape)} (targets, features)"
            )
        self.embeddings.copy_(embeddings)

    def parameters_of(self, deep: Tensor) -> Tensor:
        """Dynamic parameters (batch, classes, 153): theta_k = MLP(w_k, f) of P2."""
        image = self.image(self.image_norm(deep).mean(dim=(2, 3, 4)))
        text = self.text(self.embeddings)
        batch, classes = image.shape[0], text.shape[0]
        joined = torch.cat(
            [text.expand(batch, -1, -1), image[:, None].expand(-1, classes, -1)], dim=2
        )
        return self.controller(joined)

    def forward(self, fine: Tensor, deep: Tensor) -> Tensor:
        """Logits (batch, classes, k, j, i).

        Parameters
        ----------
        fine
            Decoder features (batch, fine, k, j, i).
        deep
            Encoder features (batch, deep, k', j', i').
        """
        theta = self.parameters_of(deep)
        x = self.features(fine).flatten(2)
        # 1x1x1 convolutions see one voxel at a time; in training everything is kept anyway.
        parts = [x] if torch.is_grad_enabled() else x.split(CHUNK, dim=2)
        logits = torch.cat([dynamic_convolutions(part, theta) for part in parts], dim=2)
        return logits.reshape(*theta.shape[:2], *fine.shape[2:])


def dynamic_convolutions(x: Tensor, theta: Tensor) -> Tensor:
    """Three 1x1x1 convolutions with ReLU between them, for all targets at once.

    Parameters
    ----------
    x
        Features (batch, 8, voxels).
    theta
        Weights and biases (batch, classes, 153).

    Returns
    -------
    Logits (batch, classes, voxels).
    """
    batch, classes = theta.shape[:2]
    square = WIDTH * WIDTH
    theta = theta.to(x.dtype)
    sizes = [square, WIDTH, square, WIDTH, WIDTH, 1]
    w1, b1, w2, b2, w3, b3 = torch.split(theta, sizes, dim=2)
    # Every target reads the same features, so the first layers of all are one matrix.
    x = w1.reshape(batch, classes * WIDTH, WIDTH) @ x + b1.reshape(batch, -1, 1)
    x = functional.relu(x).reshape(batch * classes, WIDTH, -1)
    x = torch.baddbmm(b2.reshape(-1, WIDTH, 1), w2.reshape(-1, WIDTH, WIDTH), x)
    x = torch.baddbmm(b3.reshape(-1, 1, 1), w3.reshape(-1, 1, WIDTH), functional.relu(x))
    return x.reshape(batch, classes, -1)
