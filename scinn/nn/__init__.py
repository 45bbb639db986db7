"""Layers with hand-derived gradients, networks as graphs of them, losses, optimisers, training."""

from __future__ import annotations

from scinn.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh, sigmoid
from scinn.nn.combine import Add, Concat
from scinn.nn.dense import Dense
from scinn.nn.dropout import Dropout
from scinn.nn.embedding import Embedding
from scinn.nn.history import History
from scinn.nn.initializers import initialize
from scinn.nn.layer import Layer, nbytes, register_layer
from scinn.nn.losses import (
    binary_cross_entropy_with_logits,
    kl_divergence,
    mse,
    softmax,
    softmax_cross_entropy,
)
from scinn.nn.network import Network, Node
from scinn.nn.normalization import BatchNorm
from scinn.nn.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Optimizer, RMSprop
from scinn.nn.schedules import Constant, Cosine, Exponential, ReduceLROnPlateau, StepDecay, Warmup
from scinn.nn.training import Batch, fit, minibatches

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Add",
    "Batch",
    "BatchNorm",
    "Concat",
    "Constant",
    "Cosine",
    "Dense",
    "Dropout",
    "Embedding",
    "Exponential",
    "History",
    "Layer",
    "LeakyReLU",
    "Network",
    "Node",
    "Optimizer",
    "RMSprop",
    "ReLU",
    "ReduceLROnPlateau",
    "Sigmoid",
    "StepDecay",
    "Tanh",
    "Warmup",
    "binary_cross_entropy_with_logits",
    "fit",
    "initialize",
    "kl_divergence",
    "minibatches",
    "mse",
    "nbytes",
    "register_layer",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
]
