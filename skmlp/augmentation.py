"""Augmentations for the parameter of that name."""

from skmlp.training.augmentation import (
    Compose,
    CutMix,
    GaussianNoise,
    ImageFlip,
    ImageShift,
    Mixup,
    SwapNoise,
)

__all__ = [
    "Compose",
    "CutMix",
    "GaussianNoise",
    "ImageFlip",
    "ImageShift",
    "Mixup",
    "SwapNoise",
]
