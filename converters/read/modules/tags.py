"""Which tensors carry the signal, and what each of them is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikeport.converters.read.modules.axes import fresh
from spikeport.converters.read.modules.values import Value, refuse


class Tags:
    """Tensors with their values; each is kept alive, so that no other tensor takes its id."""

    def __init__(self, root: nn.Module) -> None:
        self._held: dict[int, tuple[Tensor, Value]] = {}
        self._storages: dict[int, Tensor] = {}
        self._random: dict[int, Tensor] = {}
        named = (*nn.Module.named_parameters(root), *nn.Module.named_buffers(root))
        # With the tensors themselves: modules replace their buffers, and a new tensor may take an old one's id.
        self._names = {id(tensor): (tensor, name) for name, tensor in named}

    def tag(self, tensor: Tensor, value: Value) -> Value:
        """From now on ``tensor`` is ``value``."""
        self._held[id(tensor)] = (tensor, value)
        if tensor.numel():
            self._storages[tensor.untyped_storage().data_ptr()] = tensor
        return value

    def has(self, tensor: Tensor) -> bool:
        """Whether this very tensor carries the signal."""
        return id(tensor) in self._held

    def parameter(self, tensor: Any) -> str | None:
        """Name of a parameter or buffer of the module; None for other tensors."""
        return self._names.get(id(tensor), (None, None))[1]

    def value(self, tensor: Tensor, where: str) -> Value | None:
        """What a tensor carries; None for a constant.

        Raises:
            UnsupportedNodeError: it shares memory with a signal in a way that was not seen.
        """
        if id(tensor) in self._held:
            return self._held[id(tensor)][1]
        if not self._storages or tensor.numel() == 0 or tensor.layout != torch.strided:
            return None
        other = self._storages.get(tensor.untyped_storage().data_ptr())
        if other is None or id(tensor) in self._names:
            return None
        if (other.shape, other.stride(), other.data_ptr()) == (tensor.shape, tensor.stride(), tensor.data_ptr()):
            return self._held[id(other)][1]
        return refuse(where, "it uses a view of the signal that was made out of sight of torch's functions.")

    def value_or_constant(self, given: Any, where: str) -> Value:
        """A tagged tensor's value; anything else as a constant."""
        tensor = given if isinstance(given, Tensor) else torch.as_tensor(given, dtype=torch.float32)
        return self.value(tensor, where) or Value("const", tensor, fresh(tensor.shape), where)

    def mark_random(self, tensors: list[Tensor]) -> None:
        """Remember tensors that another run would give other numbers."""
        self._random |= {id(tensor): tensor for tensor in tensors}

    def is_random(self, tensor: Tensor) -> bool:
        """Whether it was thrown."""
        return id(tensor) in self._random
