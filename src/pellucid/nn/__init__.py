"""Layers and initializers: settings and formulas, no arrays."""

from pellucid.nn.composite import Concatenate, Parallel, Residual
from pellucid.nn.embedding import Embedding
from pellucid.nn.formula import Formula
from pellucid.nn.init import Constant, Glorot, He, Initializer, LeCun, Normal, Orthogonal, Xavier
from pellucid.nn.layer import (
    Activation,
    Composite,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Parameter,
    Shared,
)
from pellucid.nn.noise import AlphaDropout, GaussianDropout, GaussianNoise, SpatialDropout
from pellucid.nn.normalization import BatchNorm, LayerNorm
from pellucid.nn.preparing import Missing, Normalize, OneHot, Rescale

__all__ = [
    "Activation",
    "AlphaDropout",
    "BatchNorm",
    "Composite",
    "Concatenate",
    "Constant",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Formula",
    "GaussianDropout",
    "GaussianNoise",
    "Glorot",
    "He",
    "Initializer",
    "Layer",
    "LayerNorm",
    "LeCun",
    "Missing",
    "Normal",
    "Normalize",
    "OneHot",
    "Orthogonal",
    "Parallel",
    "Parameter",
    "Rescale",
    "Residual",
    "Shared",
    "SpatialDropout",
    "Xavier",
]
