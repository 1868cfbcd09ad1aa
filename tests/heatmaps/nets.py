"""Small networks for the maps that look inside: a CNN, a 3-D CNN, a vision transformer, a channels-last one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn


def seeded(make: Any, seed: int = 0) -> Any:
    """What `make` makes with random weights, without a trace in the global state."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()


class Conv(nn.Module):  # type: ignore[misc]
    """Two convolutions with norms and a residual sum, 5 classes; for images, or for clips with `axes=3`."""

    def __init__(self, axes: int = 2, channels: int = 3) -> None:
        super().__init__()
        conv, norm, pool = {
            2: (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d), 3: (nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d),
        }[axes]  # fmt: skip
        self.stem = nn.Sequential(conv(channels, 8, 3, padding=1, bias=False), norm(8), nn.ReLU(inplace=True), pool(2))
        self.conv, self.norm, self.relu = conv(8, 8, 3, padding=1), norm(8), nn.ReLU(inplace=True)
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(8, 5)
        for part in self.modules():
            if isinstance(part, (nn.BatchNorm2d, nn.BatchNorm3d)):
                nn.init.normal_(part.running_mean, std=0.1)
                nn.init.uniform_(part.running_var, 0.5, 2)
                nn.init.normal_(part.bias, std=0.1)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        x = self.relu(x + self.norm(self.conv(x)))
        return self.head(self.dropout(x.flatten(2).mean(2)))


class Tokens(nn.Module):  # type: ignore[misc]
    """A vision transformer of two blocks with a class token, patches of 8, 4 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.blocks = nn.ModuleList([Block() for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        x = torch.cat([self.token, self.patches(x).flatten(2).transpose(1, 2)], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Block(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

    def forward(self, x: Any) -> Any:
        y = self.norm1(x)
        x = x + self.attention(y, y, y)[0]
        return x + self.mlp(self.norm2(x))


class Last(nn.Module):  # type: ignore[misc]
    """Channels last in the end, as Swin has it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 12, 4, 4), nn.LayerNorm(12), nn.Linear(12, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2)))


def photo(extent: tuple[int, ...] = (40, 56), channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*extent, channels)).astype(np.uint8)


def state(module: Any) -> list[Any]:
    """Everything about a module that a map could leave changed."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    found: list[Any] = []
    for name, part in module.named_modules():
        own = {key: id(value) for key, value in part.__dict__.items()}
        found.append((name, part.training, [list(getattr(part, hook).items()) for hook in hooks], own))
        found.append([(key, id(value)) for table in (part._parameters, part._buffers) for key, value in table.items()])
    for tensor in [*module.parameters(), *module.buffers()]:
        grad = None if tensor.grad is None else (id(tensor.grad), tensor.grad.tolist())
        found.append((tensor.data_ptr(), tensor.requires_grad, tensor.device, grad, tensor.tolist()))
    return found
