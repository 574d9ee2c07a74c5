"""Time in live modules: loops, sequences, states, feedback and delays, as users write them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from framework_cases.standin import Standin, dense
from torch import Tensor, nn

from spikeport.converters.network import Edge, Network, Neuron
from spikeport.converters.read.modules.read import read_module
from spikeport.deploy.backends.float import run_float
from spikeport.errors import DataError, DialectError, UnsupportedNodeError

B, T = 3, 7


class Net(nn.Module):
    """Two layers and a recurrent map; ``forward`` is given."""

    def __init__(self, forward: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fc1, self.fc2, self.rec = dense(5, 4), dense(4, 4), dense(4, 4)
        self.lif1, self.lif2 = Standin(), Standin(0.75)
        self._forward = forward

    def forward(self, x: Tensor) -> Any:
        for lif in (self.lif1, self.lif2):
            lif.reset_mem()
        return self._forward(self, x)


def spikes() -> Tensor:
    torch.manual_seed(2)
    return (torch.rand(T, B, 5) < 0.5).float()


def recorded(net: nn.Module, x: Tensor) -> dict[str, np.ndarray]:
    """Spikes (B, T, ...) of every stand-in."""
    seen: dict[str, list[Tensor]] = {}
    parts = {name: part for name, part in net.named_modules() if isinstance(part, Standin)}
    hooks = [
        part.register_forward_hook(lambda m, a, out, name=name: seen.setdefault(name, []).append(out))
        for name, part in parts.items()
    ]
    net(x)
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(series, 1).detach().numpy() for name, series in seen.items()}


def assert_same(network: Network, net: nn.Module, x: Tensor, time_first: bool = True) -> None:
    own = recorded(net, x)
    given = x.transpose(0, 1).numpy() if time_first else x.numpy()
    run = run_float(network, given, record=network.neurons)
    assert set(own) == set(network.neurons)
    for name, there in own.items():
        assert there.any(), f"{name} is silent: nothing would be tested"
        np.testing.assert_array_equal(run.spikes[name], there)


def loop(body: Callable[[Any, Tensor, Any], tuple[Tensor, Any]], start: Any = None) -> Callable[[Any, Tensor], Tensor]:
    def forward(m: Any, x: Tensor) -> Tensor:
        kept, out = start(m) if start else None, []
        for t in range(x.shape[0]):
            y, kept = body(m, x[t], kept)
            out.append(y)
        return torch.stack(out)

    return forward


def silence(m: Any) -> Tensor:
    return torch.zeros(B, 4)


def chain(m: Any, x: Tensor, kept: Any) -> tuple[Tensor, Any]:
    return m.lif2(m.fc2(m.lif1(m.fc1(x)))), None


def fed_back(m: Any, x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    one = m.lif1(m.fc1(x) + m.rec(last))
    return m.lif2(m.fc2(one)), one


def stored_current(m: Any, x: Tensor, current: Tensor) -> tuple[Tensor, Tensor]:
    """The recurrent current is kept, not the spikes: nothing arrives at t = 0, the bias of ``rec`` included."""
    one = m.lif1(m.fc1(x) + current)
    return m.lif2(m.fc2(one)), m.rec(one)


def none_at_first(m: Any, x: Tensor, last: Tensor | None) -> tuple[Tensor, Tensor]:
    current = m.fc1(x)
    if last is not None:
        current = current + m.rec(last)
    one = m.lif1(current)
    return m.lif2(m.fc2(one)), one


def two_steps_late(m: Any, x: Tensor, kept: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    one = m.lif1(m.fc1(x))
    return m.lif2(m.fc2(kept[-2])), [*kept, one]


def own_filter(m: Any, x: Tensor, trace: Tensor) -> tuple[Tensor, Tensor]:
    """A hand-made low-pass filter between the layers."""
    trace = 0.5 * trace + m.lif1(m.fc1(x))
    return m.lif2(m.fc2(trace)), trace


LOOPS: dict[str, tuple[Any, Any]] = {
    "chain": (chain, None),
    "feedback": (fed_back, silence),
    "stored current": (stored_current, silence),
    "feedback from the second step on": (none_at_first, None),
    "two steps late": (two_steps_late, lambda m: [torch.zeros(B, 4)] * 2),
    "filter of the user's own": (own_filter, silence),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loop_gives_the_same_spikes_in_every_layer(name: str) -> None:
    net = Net(loop(*LOOPS[name]))
    assert_same(read_module(net, spikes()), net, spikes())


def test_feedback_waits_at_the_neuron_or_after_the_map_as_the_code_has_it() -> None:
    at_neuron = read_module(Net(loop(fed_back, silence)), spikes())
    after_map = read_module(Net(loop(stored_current, silence)), spikes())
    assert Edge("lif1", "rec", 1) in at_neuron.edges
    assert Edge("rec", "lif1", 0) in at_neuron.edges
    assert Edge("lif1", "rec", 0) in after_map.edges
    assert Edge("rec", "lif1", 1) in after_map.edges


def test_delay_of_two_steps_is_one_edge() -> None:
    network = read_module(Net(loop(*LOOPS["two steps late"])), spikes())
    assert Edge("lif1", "fc2", 2) in network.edges


def batch_first(m: Any, x: Tensor) -> Tensor:
    out = torch.zeros(x.shape[0], x.shape[1], 4)
    for t in range(x.shape[1]):
        out[:, t] = chain(m, x[:, t], None)[0]
    return out


def by_iteration(m: Any, x: Tensor) -> Tensor:
    return torch.stack([chain(m, x_t, None)[0] for x_t in x.permute(1, 0, 2)], dim=1)


@pytest.mark.parametrize("forward", [batch_first, by_iteration])
def test_time_may_be_the_second_axis(forward: Any) -> None:
    net = Net(forward)
    x = spikes().transpose(0, 1).contiguous()
    network = read_module(net, x)
    assert network.shapes["input"] == (5,)
    assert_same(network, net, x, time_first=False)


def test_sequence_may_pass_linear_layers_at_once() -> None:
    net = Net(lambda m, x: torch.stack([m.lif1(step) for step in m.fc1(x.flatten(0, 1)).view(T, B, 4)]))
    network = read_module(net, spikes())
    assert list(network.nodes) == ["input", "fc1", "lif1", "output"]


class OneStep(nn.Module):
    """One step per call; what is fed back shows in the calls that follow."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fc, self.rec, self.lif = dense(5, 4), dense(4, 4), Standin()
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        last = torch.zeros(x.shape[0], 4) if self.last is None else self.last
        self.last = self.lif(self.fc(x) + self.rec(last))
        return self.last


def test_feedback_between_calls_is_seen_and_forgotten_afterwards() -> None:
    net = OneStep()
    network = read_module(net, spikes()[0])
    assert Edge("lif", "rec", 1) in network.edges
    assert net.last is None
    assert net.lif.v is None


class Repeated(nn.Module):
    """The same input at every step; the output is added up in a loop."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fc1, self.lif1, self.fc2, self.lif2 = dense(5, 4), Standin(), dense(4, 4), Standin()

    def forward(self, x: Tensor) -> Tensor:
        current, total = self.fc1(x), 0
        for _ in range(T):
            total = total + self.lif2(self.fc2(self.lif1(current)))
        return total / T


def test_static_input_is_the_same_at_every_step_and_sums_are_left_to_the_decoder() -> None:
    network = read_module(Repeated(), spikes()[0])
    assert list(network.nodes) == ["input", "fc1", "lif1", "fc2", "lif2", "output"]
    (finding,) = (f for f in network.findings if f.code == "readout-left-to-decoder")
    assert "the sum over time, times 0.142857" in finding.message


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (lambda y: y.mean(0), "the mean over time"),
        (lambda y: y.sum(dim=0), "the sum over time"),
        (lambda y: y.max(0).values, "the max over time"),
        (lambda y: torch.softmax(y.mean(0), 1), "the softmax of the mean over time"),
        (lambda y: y[-1], "its last step"),
    ],
)
def test_reduction_over_time_is_left_to_the_decoder(after: Any, said: str) -> None:
    network = read_module(Net(lambda m, x: after(loop(chain)(m, x))), spikes())
    assert network.into("output") == (Edge("lif2", "output"),)
    (finding,) = (f for f in network.findings if f.code == "readout-left-to-decoder")
    assert said in finding.message


def test_linear_readout_of_a_mean_is_a_layer_of_every_step() -> None:
    network = read_module(Net(lambda m, x: m.rec(loop(chain)(m, x).mean(0))), spikes())
    assert Edge("lif2", "rec") in network.edges
    with pytest.raises(UnsupportedNodeError, match="'linear' follows on a sum over time"):
        read_module(Net(lambda m, x: m.rec(loop(chain)(m, x).sum(0))), spikes())


def test_inner_signals_that_are_returned_are_no_outputs() -> None:
    def forward(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        steps = [(one := m.lif1(m.fc1(x_t)), m.lif2(m.fc2(one))) for x_t in x]
        return tuple(torch.stack(part) for part in zip(*steps, strict=True))

    network = read_module(Net(forward), spikes())
    assert network.outputs == ("output",)
    assert "inner-signals-not-outputs" in {f.code for f in network.findings}


def test_two_ends_are_two_outputs() -> None:
    def forward(m: Any, x: Tensor) -> dict[str, Tensor]:
        one = [m.lif1(m.fc1(x_t)) for x_t in x]
        two = [m.lif2(m.fc1(x_t)) for x_t in x]
        return {"one": torch.stack(one), "two": torch.stack(two)}

    assert read_module(Net(forward), spikes()).outputs == ("output_1", "output_2")


def reversed_time(m: Any, x: Tensor) -> Tensor:
    return torch.stack([m.lif1(m.fc1(x[t])) for t in reversed(range(T))])


def other_weights_later(m: Any, x: Tensor) -> Tensor:
    return torch.stack([m.lif1(m.fc1(x[t]) * (1.0 + t)) for t in range(T)])


def first_step_for_all(m: Any, x: Tensor) -> Tensor:
    return torch.stack([m.lif1(m.fc1(x[t]) + m.fc1(x[0])) for t in range(T)])


def only_some_steps(m: Any, x: Tensor) -> Tensor:
    return torch.stack([m.lif1(m.fc1(x[t])) for t in range(T - 2)])


def not_silent_at_first(m: Any, x: Tensor) -> Tensor:
    last, out = torch.ones(B, 4), []
    for x_t in x:
        last = m.lif1(m.fc1(x_t) + m.rec(last))
        out.append(last)
    return torch.stack(out)


def one_neuron_twice(m: Any, x: Tensor) -> Tensor:
    return torch.stack([m.lif2(m.fc2(m.lif2(m.fc2(m.lif1(m.fc1(x_t)))))) for x_t in x])


def last_spikes_as_input(m: Any, x: Tensor) -> Tensor:
    for x_t in x:
        y = m.lif1(m.fc1(x_t))
    return torch.stack([m.lif2(m.fc2(y)) for _ in x])


REFUSED: dict[str, tuple[Any, str]] = {
    "time runs backwards": (reversed_time, "different places, or delays, at different steps"),
    "parameters change": (other_weights_later, "changes from step to step: other parameters"),
    "one step used at all": (first_step_for_all, "different places, or delays, at different steps"),
    "steps left out": (only_some_steps, "one slice of an axis that is not time"),
    "earlier spikes assumed": (not_silent_at_first, "Start from silence"),
    "neuron at two places": (one_neuron_twice, "a neuron used at two places shares its state"),
    "a second pass over time": (last_spikes_as_input, "what step 6 gave is used again at every step"),
    "writing into parts": (lambda m, x: x.new_zeros(T, B, 8).index_put_((torch.tensor(0),), x[0, 0, 0]), "'index_put'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_in_time_is_refused(name: str) -> None:
    forward, message = REFUSED[name]
    with pytest.raises(UnsupportedNodeError, match=message):
        read_module(Net(forward), spikes())


def test_dt_scales_time_and_is_said_where_it_was_assumed() -> None:
    net = Net(loop(chain))
    assumed, given = read_module(net, spikes()), read_module(net, spikes(), dt=0.01)
    assert (assumed.dt, given.dt) == (1e-3, 0.01)
    assert "dt-assumed" in {f.code for f in assumed.findings}
    assert "dt-assumed" not in {f.code for f in given.findings}
    with pytest.raises(DialectError, match="dt must be a positive number"):
        read_module(net, spikes(), dt=0.0)


def test_subclass_that_changes_a_neuron_is_its_own_neuron_only_if_it_says_so() -> None:
    class Louder(Standin):
        def to_neuron(self, name: str, shape: tuple[int, ...]) -> Neuron:
            return 3  # type: ignore[return-value]

    with pytest.raises(UnsupportedNodeError, match="its to_neuron gives a int"):
        read_module(Louder(), torch.zeros(2, 4))


def test_single_step_and_single_sample_are_read() -> None:
    assert read_module(Standin(), torch.zeros(1, 4)).shapes["neuron"] == (4,)
    network = read_module(Net(loop(chain)), spikes()[:3, :1])
    assert network.shapes["lif2"] == (4,)


def test_state_that_earlier_data_left_is_set_aside_said_and_put_back() -> None:
    class Buffered(Standin):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mem", torch.full((B, 4), 0.5), persistent=False)

        def reset_mem(self) -> None:
            super().reset_mem()
            self.mem = torch.zeros_like(self.mem)

    net = Buffered()
    net.v = torch.ones(B, 4)
    findings = read_module(net, torch.zeros(B, 4)).findings
    assert "states-set-aside" in {f.code for f in findings}
    assert bool((net.v == 1).all())
    assert bool((net.mem == 0.5).all())


def test_sample_of_a_single_step_cannot_show_feedback() -> None:
    with pytest.raises(DataError, match="a single time step"):
        read_module(Net(loop(chain)), spikes()[:1])
    network = read_module(Net(loop(chain)), spikes()[:1], axes="TB")
    assert network.shapes["lif2"] == (4,)
    assert "one-step-seen" in {f.code for f in network.findings}
