"""Tracing leaves no trace: every module's attributes, buffers and memories are put back as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def left_as_found(root: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; afterwards everything is as before, tensors by content."""
    undo: list[Callable[[], None]] = []
    for _, module in named_modules(root):
        _remember(module.__dict__, undo, set())
    try:
        with torch.no_grad():
            root.eval()
            yield
    finally:
        for action in reversed(undo):
            action()


def named_modules(root: nn.Module) -> list[tuple[str, nn.Module]]:
    """As torch's own, also where a framework gives ``modules`` another meaning."""
    return list(nn.Module.named_modules(root))


def _remember(container: Any, undo: list[Callable[[], None]], seen: set[int]) -> None:
    """Queue what restores a dict or list, the dicts and lists in it, and the tensors among its values."""
    if id(container) in seen:
        return
    seen.add(id(container))
    if isinstance(container, MutableMapping):
        kept = dict(container)
        undo.append(lambda: _refill(container, kept))
        values = list(kept.values())
    else:
        values = list(container)
        undo.append(lambda: container.__setitem__(slice(None), values))
    for value in values:
        if isinstance(value, (dict, list)):
            _remember(value, undo, seen)
        elif isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            _remember_content(value, undo)


def _refill(container: MutableMapping[Any, Any], kept: dict[Any, Any]) -> None:
    container.clear()
    container.update(kept)


def _remember_content(tensor: Tensor, undo: list[Callable[[], None]]) -> None:
    content, version = tensor.detach().clone(), tensor._version

    def restore() -> None:
        if tensor._version != version:
            tensor.detach().copy_(content)

    undo.append(restore)


def forget(root: nn.Module) -> tuple[str, ...]:
    """Reset every layer that remembers earlier data, by its framework's own method; names of those that did."""
    cleared = []
    for name, module in named_modules(root):
        for method in ("reset_mem", "reset_states", "reset_state"):
            if callable(getattr(type(module), method, None)):
                cleared += [name] if _remembers(module) else []
                getattr(module, method)()
                break
        else:
            reset = getattr(module, "reset", None)
            if hasattr(module, "_memories") and callable(reset):
                cleared += [name] if _remembers(module) else []
                reset()
    return tuple(cleared)


def _remembers(module: nn.Module) -> bool:
    """Whether a state differs from a fresh one, as far as that shows: anything but zeros and numbers."""
    held = [v for k, v in {**module._buffers, **getattr(module, "_memories", {})}.items() if k in _STATES]
    return any(isinstance(v, Tensor) and v.numel() > 0 and bool(v.any()) for v in held)


_STATES = frozenset(
    {"mem", "syn", "spk", "syn_exc", "syn_inh", "v", "c", "y", "v_mem", "i_syn", "vmem", "isyn", "spikes"}
)
