"""Layers and initializers: settings and formulas, no arrays."""

from pellucid.nn.composite import Concatenate, Parallel, Residual
from pellucid.nn.init import Constant, Glorot, He, Initializer, LeCun, Normal, Orthogonal, Xavier
from pellucid.nn.layer import Activation, Composite, Dense, Dropout, Flatten, Layer, Parameter, Shared
from pellucid.nn.normalization import BatchNorm, LayerNorm
from pellucid.nn.preparing import Missing, Normalize, OneHot, Rescale

__all__ = [
    "Activation",
    "BatchNorm",
    "Composite",
    "Concatenate",
    "Constant",
    "Dense",
    "Dropout",
    "Flatten",
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
    "Xavier",
]
