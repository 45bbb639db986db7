"""Layers with hand-derived gradients, networks as graphs of them, losses, optimisers, training."""

from __future__ import annotations

from scinn.nn import models
from scinn.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh, sigmoid
from scinn.nn.combine import Add, Concat
from scinn.nn.convolution import Conv2d
from scinn.nn.dense import Dense
from scinn.nn.dropout import Dropout
from scinn.nn.embedding import Embedding
from scinn.nn.history import History
from scinn.nn.images import to_channels_first, to_channels_last
from scinn.nn.initializers import initialize
from scinn.nn.layer import Layer, nbytes, register_layer
from scinn.nn.layer_norm import LayerNorm
from scinn.nn.losses import (
    binary_cross_entropy_with_logits,
    kl_divergence,
    mse,
    softmax,
    softmax_cross_entropy,
)
from scinn.nn.network import Network, Node
from scinn.nn.normalization import BatchNorm, BatchNormReLU
from scinn.nn.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Optimizer, RMSprop
from scinn.nn.pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from scinn.nn.prediction import predict
from scinn.nn.prelu import PReLU
from scinn.nn.recurrent import GRU, LSTM
from scinn.nn.schedules import Constant, Cosine, Exponential, ReduceLROnPlateau, StepDecay, Warmup
from scinn.nn.shape import Flatten
from scinn.nn.threads import n_threads_in_use, use_threads
from scinn.nn.training import Batch, fit, minibatches

__all__ = [
    "GRU",
    "LSTM",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Add",
    "AvgPool2d",
    "Batch",
    "BatchNorm",
    "BatchNormReLU",
    "Concat",
    "Constant",
    "Conv2d",
    "Cosine",
    "Dense",
    "Dropout",
    "Embedding",
    "Exponential",
    "Flatten",
    "GlobalAvgPool2d",
    "History",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool2d",
    "Network",
    "Node",
    "Optimizer",
    "PReLU",
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
    "models",
    "mse",
    "n_threads_in_use",
    "nbytes",
    "predict",
    "register_layer",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "to_channels_first",
    "to_channels_last",
    "use_threads",
]
