"""Networks of the literature, built by one function each; their sizes, and trained weights from elsewhere."""

from __future__ import annotations

from scinn.nn.models.counts import OperationCount, count_operations
from scinn.nn.models.plain import deepcnn_mnist, mlp, mobilenet, vgg16_bn
from scinn.nn.models.resnet import (
    SubsamplePad,
    resnet18,
    resnet20,
    resnet26,
    resnet50,
    resnet56,
    resnet110,
    resnet_cifar,
)
from scinn.nn.models.state_dict import load_state_dict, pretrained, to_state_dict

__all__ = [
    "OperationCount",
    "SubsamplePad",
    "count_operations",
    "deepcnn_mnist",
    "load_state_dict",
    "mlp",
    "mobilenet",
    "pretrained",
    "resnet18",
    "resnet20",
    "resnet26",
    "resnet50",
    "resnet56",
    "resnet110",
    "resnet_cifar",
    "to_state_dict",
    "vgg16_bn",
]
