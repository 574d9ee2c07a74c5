"""The written form of a dialect, and what its keys do to one neuron."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.converters.network import Neuron
from spikeport.converters.read.dialects import DIALECTS, KEYS, describe_dialects, parse_dialect
from spikeport.converters.read.neurons import neuron_of
from spikeport.converters.read.nir import read_nir
from spikeport.errors import DialectError

LIF = {"tau": 0.001, "r": 10.0, "v_leak": 0.0, "v_reset": 0.25, "v_threshold": 1.0}
CUBA = {"tau_mem": 0.001, "tau_syn": 0.0005, "r": 10.0, "w_in": 5.0, "v_threshold": 1.0, "v_leak": 0.0}


def neuron(kind: str, values: dict[str, float], dialect: str, recurrent: bool = False) -> Neuron:
    arrays = {k: np.asarray(v, np.float64) for k, v in values.items()}
    return neuron_of("n", kind, arrays, parse_dialect(dialect).dialect, recurrent)


VALUES = {
    "dt": ["1e-3", "0.5"],
    "reset": ["zero", "value", "subtract", "none"],
    "reset_delay": ["0", "1"],
    "cuba_reset_delay": ["0", "1", "none"],
    "spike": ["single", "multi"],
    "max_spikes": ["3", "none"],
    "norm_input": ["true", "false"],
    "v_min": ["-1", "-thr", "-2thr", "none"],
    "if_v_min": ["-0.5", "none"],
    "v_init": ["0.5", "v_reset", "v_leak"],
    "tau_unit": ["seconds", "steps", "seconds_dt"],
    "tau_syn": ["2"],
    "decay": ["euler", "exp"],
    "gain": ["file", "one", "norm"],
    "if_gain": ["file", "one", "r"],
    "current": ["file", "jump", "decayed"],
    "compare": ["gt", "ge"],
    "output_delay": ["0", "1"],
    "feedback": ["neuron", "target"],
    "recurrent_reset_discards": ["true", "false"],
}


def test_every_key_is_tried_here() -> None:
    assert set(VALUES) == set(KEYS)


@given(st.sampled_from(sorted(DIALECTS)), st.lists(st.sampled_from(sorted(VALUES)), unique=True), st.data())
def test_written_form_parses_back(name: str, keys: list[str], data: st.DataObject) -> None:
    said = ",".join(f"{key}={data.draw(st.sampled_from(VALUES[key]))}" for key in keys)
    dialect = parse_dialect(f"{name}:{said}").dialect
    assert parse_dialect(str(dialect)).dialect == dialect


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("snntorch:reset=zero,reset_delay=0", "snntorch:dt=0.0001,reset=zero,reset_delay=0"),
        ("sinabs:v_min=-2thr", "sinabs:dt=1.0,v_min=-2thr"),
        ("spyx:reset_delay=0,cuba_reset_delay=0", "spyx:dt=0.0001,reset_delay=0,cuba_reset_delay=0"),
    ],
)
def test_written_form_says_no_key_that_another_one_sets(text: str, written: str) -> None:
    assert str(parse_dialect(text).dialect) == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("snntroch", r"did you mean 'snntorch'\?\); known: nir, norse, rockpool, sinabs"),
        ("", "known: nir"),
        ("lava-dl", "export the model to NIR"),
        ("snntorch:resett=zero", r"did you mean 'reset'\?\); write key=value with one of: dt, reset"),
        ("snntorch:reset", "key 'reset' has no value; write reset=..., allowed: zero, value"),
        ("snntorch:reset=soft", "allowed: zero, value, subtract, none"),
        ("snntorch:dt=0", "allowed: a positive number"),
        ("snntorch:dt=nan", "allowed: a positive number"),
        ("snntorch:dt=inf", "allowed: a positive number"),
        ("snntorch:reset_delay=2", "allowed: 0, 1"),
        ("sinabs:max_spikes=0", "allowed: a positive integer"),
        ("sinabs:v_min=low", "multiple of the threshold"),
        ("sinabs:spike=both", "single, multi"),
        ("sinabs:v_init=inf", "v_reset"),
        ("snntorch:reset=zero,reset=none", "given twice"),
    ],
)
def test_misspelt_dialect_lists_what_is_allowed(text: str, reason: str) -> None:
    with pytest.raises(DialectError, match=reason):
        parse_dialect(text)


def test_description_names_every_dialect_and_key() -> None:
    text = describe_dialects()
    assert all(word in text for word in (*DIALECTS, *KEYS))


def test_snntorch_gain_is_exactly_one_in_spite_of_float32_exporters() -> None:
    tau = float(np.float32(1e-4) / (np.float32(1) - np.float32(0.9)))
    made = neuron("LIF", LIF | {"tau": tau, "r": float(np.float32(tau / 1e-4))}, "snntorch")
    assert made.current_gain == np.float32(1)
    assert made.membrane_decay == np.float32(0.9)


def test_norm_input_scales_by_one_minus_decay() -> None:
    on, off = (neuron("LIF", LIF | {"tau": 10.0}, f"sinabs:norm_input={v}") for v in ("true", "false"))
    np.testing.assert_allclose(on.membrane_decay, np.exp(-0.1), rtol=1e-7)
    np.testing.assert_allclose(on.current_gain, 1 - np.exp(-0.1), rtol=1e-6)
    assert off.current_gain == 1


def test_lost_tau_syn_can_be_given_back() -> None:
    made = neuron("LIF", LIF | {"tau": 10.0}, "sinabs:tau_syn=5")
    np.testing.assert_allclose([made.current_decay, made.input_gain], np.exp(-0.2), rtol=1e-6)


@pytest.mark.parametrize(("text", "floor"), [("-thr", -2.0), ("-2thr", -4.0), ("-0.5", -0.5), ("none", None)])
def test_lower_bound_is_a_number_or_a_multiple_of_the_threshold(text: str, floor: float | None) -> None:
    made = neuron("LIF", LIF | {"tau": 10.0, "v_threshold": 2.0}, f"sinabs:v_min={text}")
    assert made.v_min == floor


def test_spikingjelly_starts_at_v_reset_and_leaks_to_v_leak() -> None:
    made = neuron("LIF", LIF | {"v_leak": 0.25}, "spikingjelly")
    assert made.v_init == np.float32(0.25)
    assert made.v_reset == np.float32(0.25)
    np.testing.assert_allclose(made.bias, 0.1 * 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "recurrent", "discards"), [("LIF", False, False), ("LIF", True, True), ("CubaLIF", False, True)]
)
def test_late_reset_to_zero_discards_input_where_snntorch_does(kind: str, recurrent: bool, discards: bool) -> None:
    values = CUBA if kind == "CubaLIF" else LIF
    made = neuron(kind, values, "snntorch:reset=zero,reset_delay=1", recurrent)
    assert made.reset_discards_input is discards
    assert made.reset_delay == int(discards)


def test_norse_current_jumps_by_the_weight_and_rockpools_decays_at_once() -> None:
    norse = neuron("CubaLIF", CUBA | {"w_in": 1.0, "tau_mem": 1e-5, "tau_syn": 5e-6, "r": 1.0}, "norse")
    assert norse.input_gain == 1
    np.testing.assert_allclose([norse.current_decay, norse.current_gain], [0.8, 0.1], rtol=1e-6)
    rockpool = neuron("CubaLIF", CUBA, "rockpool:dt=1e-4")
    assert rockpool.input_gain == rockpool.current_decay
    assert rockpool.current_gain == 1


def test_time_constant_below_one_step_is_refused_under_euler() -> None:
    with pytest.raises(DialectError, match=r"shortest time constant is 0\.1 steps"):
        neuron("LIF", LIF | {"tau": 1e-5}, "snntorch")


@pytest.mark.parametrize("kind", ["IF", "I"])
def test_integrators_do_not_leak(kind: str) -> None:
    made = neuron(kind, {"r": 1000.0, "v_threshold": 1.0}, "nir:dt=1e-3")
    assert (made.membrane_decay, made.current_gain, made.spiking) == (1, 1, kind == "IF")


@pytest.mark.parametrize("kind", ["LI", "CubaLI"])
def test_leaky_integrators_never_reset(kind: str) -> None:
    made = neuron(kind, CUBA if kind == "CubaLI" else LIF, "snntorch")
    assert (made.spiking, made.reset) == (False, "none")
    assert (made.current_decay is not None) == (kind == "CubaLI")


def test_every_default_dialect_can_be_given_a_dt() -> None:
    assert all(str(replace(d, dt=0.5)).startswith(f"{name}:dt=0.5") for name, d in DIALECTS.items())


IF = {"type": "IF", "r": np.ones(2), "v_threshold": np.ones(2), "v_reset": np.zeros(2)}
SINABS_LIF = {"type": "LIF", **{k: np.full(2, v) for k, v in (LIF | {"tau": 10.0}).items()}}


def said_of(nir_file: Callable[..., Path], dialect: str, **neurons: dict[str, object]) -> dict[str, str]:
    names = ["input", *neurons, "output"]
    ends = {"input": {"type": "Input", "shape": np.array([2])}, "output": {"type": "Output", "shape": np.array([2])}}
    path = nir_file({**ends, **neurons}, list(itertools.pairwise(names)))
    return {f.code: str(f) for f in read_nir(path, dialect).findings}


def test_settings_that_a_file_lacks_are_named_by_their_keys(nir_file: Callable[..., Path]) -> None:
    said = said_of(nir_file, "sinabs:reset=subtract,spike=multi", a=IF, b=SINABS_LIF)["setting-assumed"]
    assert "does not carry norm_input, v_min, tau_syn, if_v_min;" in said
    assert "v_min=none" in said
    assert "if_v_min=-thr (the lower bound of IF neurons' membranes)" in said


def test_if_neurons_are_asked_for_their_own_lower_bound_alone(nir_file: Callable[..., Path]) -> None:
    said = said_of(nir_file, "sinabs:reset=subtract,spike=multi", a=IF)["setting-assumed"]
    assert "does not carry if_v_min;" in said
    assert "setting-assumed" not in said_of(nir_file, "sinabs:reset=subtract,spike=multi,if_v_min=-thr", a=IF)


def test_half_a_reset_rule_is_asked_for_its_other_half(nir_file: Callable[..., Path]) -> None:
    lif = SINABS_LIF | {"tau": np.full(2, 1e-3)}
    said = said_of(nir_file, "snntorch:reset=zero", a=lif)
    assert "reset_delay=1, so a reset acts in the next step" in said["reset-delay-assumed"]
    assert "--dialect snntorch:reset=zero,reset_delay=0" in said["reset-delay-assumed"]
    assert "reset-rule-assumed" in said_of(nir_file, "snntorch:reset_delay=0", a=lif)
    for enough in ("reset=zero,reset_delay=1", "reset=none"):
        assert not [code for code in said_of(nir_file, f"snntorch:{enough}", a=lif) if code.startswith("reset")]
