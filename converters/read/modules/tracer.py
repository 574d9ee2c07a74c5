"""One run of a module under observation: every tensor that carries the signal is tagged with what made it.

Operations are seen through torch's function mode, neurons through hooks; a dispatch mode catches whatever neither
sees, so that nothing touches the signal unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from spikeport.converters.read.modules.axes import MixedAxisError, fresh
from spikeport.converters.read.modules.frameworks import Found, find_entry
from spikeport.converters.read.modules.functions import OPERATIONS, Call
from spikeport.converters.read.modules.layouts import LAYOUTS, filled
from spikeport.converters.read.modules.leaf import Leaf, LeafCall, begin, tensors_in
from spikeport.converters.read.modules.pooling import POOLS
from spikeport.converters.read.modules.recorder import finish
from spikeport.converters.read.modules.state import named_modules
from spikeport.converters.read.modules.tags import Tags
from spikeport.converters.read.modules.values import ReaderFaultError, Value, refuse
from spikeport.errors import SpikeportError, UnsupportedNodeError

_HANDLERS = MappingProxyType({**OPERATIONS, **POOLS, **LAYOUTS})
# These ask for a tensor's form, not for its values.
_FORM = frozenset(
    (
        "shape",
        "size",
        "dim",
        "ndim",
        "ndimension",
        "device",
        "dtype",
        "is_cuda",
        "is_cpu",
        "layout",
        "numel",
        "nelement",
        "len",
        "stride",
        "storage_offset",
        "requires_grad",
        "requires_grad_",
        "grad",
        "grad_fn",
        "is_leaf",
        "is_sparse",
        "is_quantized",
        "is_contiguous",
        "is_floating_point",
        "is_complex",
        "is_nested",
        "is_meta",
        "zeros_like",
        "ones_like",
        "empty_like",
        "full_like",
        "rand_like",
        "randn_like",
        "new_zeros",
        "new_ones",
        "new_full",
        "new_empty",
        "backward_hooks",
        "untyped_storage",
        "data_ptr",
        "element_size",
        "get_device",
        "hash",
        "repr",
        "format",
        "result_type",
        "is_same_size",
        "is_tensor",
        "is_inference",
        "version",
        "reduce_ex",
    )
)
_RANDOM = frozenset(
    ("rand", "randn", "randint", "rand_like", "randn_like", "bernoulli", "normal", "poisson", "multinomial", "randperm")
)
# Kinds that seldom become nodes: they do not take the name of the module they stand in, unless it is nothing else.
_MOVES = frozenset(("reshape", "permute", "select", "stack", "add", "spread", "sum"))
_MOVERS = (nn.Flatten, nn.Unflatten)


class Tracer(TorchFunctionMode):
    """The observer of one run.

    Attributes:
        tags: which tensors carry the signal.
        leaves: neuron modules that were called, by path.
        found: what each neuron module is, by path.
        selected: single slices that were taken of signals.
        unseen: what happened to a signal out of sight, if anything did.
    """

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self.tags = Tags(root)
        self.leaves: dict[str, Leaf] = {}
        self.found: dict[str, Found] = {}
        self.selected: list[Value] = []
        self.unseen: UnsupportedNodeError | None = None
        self.blind = 0
        self._root = root
        self._path: list[tuple[str, nn.Module]] = [("", root)]
        self._open: LeafCall | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks and modes in place."""
        with ExitStack() as stack:
            for path, module in named_modules(self._root):
                stack.callback(module.register_forward_pre_hook(self._entered(path), with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(self._left(path)).remove)
            stack.enter_context(_Net(self))
            stack.enter_context(self)
            yield

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Whatever goes wrong inside is the reader's own fault, unless it is a refusal."""
        try:
            yield
        except SpikeportError:
            raise
        except Exception as error:
            raise ReaderFaultError(f"{type(error).__name__}: {error}") from error

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What happens inside is not looked at."""
        self.blind += 1
        try:
            yield
        finally:
            self.blind -= 1

    # What handlers ask -----------------------------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """Path of the module that runs."""
        return self._path[-1][0]

    def value_of(self, given: Any) -> Value:
        """A tagged tensor's value, or a constant."""
        return self.tags.value_or_constant(given, self.where)

    def name_for(self, kind: str, *parameters: Any) -> str:
        """By the parameter it uses (``fc1`` for ``fc1.weight``), else by the module, else by kind within the module."""
        for name in map(self.tags.parameter, parameters):
            if name is not None:
                return name.removesuffix(".weight").removesuffix(".running_mean")
        path, module = self._path[-1]
        alone = not any(True for _ in module.children()) and (kind not in _MOVES or isinstance(module, _MOVERS))
        if path and alone:
            return path
        return f"{path}.{kind}" if path else kind

    # Functions -------------------------------------------------------------------------------------------------------

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Every torch function passes here; those that see the signal are remembered."""
        kwargs = dict(kwargs or {})
        if self.blind:
            return func(*args, **kwargs)
        name = _name(func)
        with self.aside():
            inputs = [t for _, t in tensors_in((args, kwargs))]
            seen = any(self.tags.value(t, self.where) is not None for t in inputs)
            call = Call(self, None, lambda: self._silently(func, args, kwargs))
            out = func(*args, **kwargs)
            if seen and name not in _FORM and out is not NotImplemented:
                with self._answering():
                    self._note(name, Call(self, out, call.replay), args, kwargs)
            elif name in _RANDOM or (not seen and any(map(self.tags.is_random, inputs))):
                self.tags.mark_random([t for _, t in tensors_in(out)])
        return out

    def _note(self, name: str, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if name == "setitem":
            self.tags.tag(args[0], filled(call, *args))
            return
        results = [t for _, t in tensors_in(call.out)]
        if not results:
            refuse(
                self.where,
                f"'{name}' takes values of the signal out of torch, so what follows from them is not seen.",
                "Keep the forward pass free of decisions and numbers that depend on the data.",
            )
        lost = next((v for v in self._signals((args, kwargs)) if v.kind == "unknown"), None)
        made = self._handled(name, call, results, args, kwargs) if lost is None else _as(lost, results)
        if any(self.tags.is_random(t) for _, t in tensors_in((args, kwargs))):
            made = _unknown(results, self.where, "it mixes random numbers into the signal")
        for tensor, value in zip(results, made, strict=True):
            self._look_for_slices(value)
            self.tags.tag(tensor, value)

    def _handled(
        self, name: str, call: Call, results: list[Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Value]:
        if name not in _HANDLERS:
            return _unknown(results, self.where, f"'{name}' of the signal is nothing a Network can say")
        try:
            made = _HANDLERS[name](call, *args, **kwargs)
        except (TypeError, MixedAxisError) as error:
            return _unknown(results, self.where, f"'{name}' is used in a way that is not understood ({error})")
        values = [made] if isinstance(made, Value) else list(made)
        more = results[len(values) :]
        return values + _unknown(more, self.where, f"a further result of '{name}' is used")

    def _signals(self, found: Any) -> Iterator[Value]:
        values = (self.tags.value(t, self.where) for _, t in tensors_in(found))
        return (value for value in values if value is not None)

    def _look_for_slices(self, value: Value) -> None:
        """One index expression may hold several slices, and changes of shape after them."""
        while not self.tags.has(value.tensor) or value.kind == "select":
            self.selected += [value] if value.kind == "select" else []
            if not value.inputs or self.tags.has(value.inputs[0].tensor):
                break
            value = value.inputs[0]

    def _silently(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Tensor:
        """The same call with every signal silenced."""
        with self.aside():
            out: Tensor = func(*self._silenced(args), **self._silenced(kwargs))
            return out

    def _silenced(self, found: Any) -> Any:
        if isinstance(found, Tensor):
            return found if self.tags.value(found, self.where) is None else torch.zeros_like(found)
        if isinstance(found, dict):
            return {k: self._silenced(v) for k, v in found.items()}
        if isinstance(found, (list, tuple)):
            return type(found)(self._silenced(v) for v in found)
        return found

    # Modules ---------------------------------------------------------------------------------------------------------

    def _entered(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self.blind:
                return
            self._path.append((path, module))
            found = self.found.get(path) or find_entry(path, module)
            if found is not None:
                self.found[path] = found
                with self.aside(), self._answering():
                    self._open = begin(path, module, args, kwargs)
                self.blind += 1

        return hook

    def _left(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            if self._open is not None and self._open.path == path and self.blind == 1:
                self.blind -= 1
                call, self._open = self._open, None
                with self._answering():
                    finish(self, call, self.found[path], out)
            if not self.blind and self._path[-1][0] == path:
                self._path.pop()

        return hook


class _Net(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Catches what reaches a signal past torch's Python functions."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tracer = tracer

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Let everything pass but unseen work on a signal.

        Raises:
            UnsupportedNodeError: there was some.
        """
        kwargs = dict(kwargs or {})
        if not self._tracer.blind and any(self._tracer.tags.has(t) for _, t in tensors_in((args, kwargs))):
            # Kept, since compiled code wraps whatever is raised in it.
            self._tracer.unseen = UnsupportedNodeError(
                f"module '{self._tracer.where or '(root)'}': compiled code computes '{func}' on the signal, out of "
                "sight of torch's Python functions. Use uncompiled modules."
            )
            raise self._tracer.unseen
        return func(*args, **kwargs)


def _unknown(results: list[Tensor], where: str, what: str) -> list[Value]:
    params = MappingProxyType({"what": what})
    return [Value("unknown", t, fresh(t.shape), where, params=params) for t in results]


def _as(lost: Value, results: list[Tensor]) -> list[Value]:
    """What follows from something unknown is unknown for the same reason."""
    return [Value("unknown", t, fresh(t.shape), lost.where, params=lost.params) for t in results]


def _name(func: Callable[..., Any]) -> str:
    """``add`` for Tensor.__add__, torch.add and Tensor.add_; ``shape`` for Tensor.shape's getter."""
    name = getattr(func, "__name__", str(func))
    if name in ("__get__", "__set__"):
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    return name.strip("_") or name
