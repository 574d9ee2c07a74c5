"""Dialects: what each framework means by the same NIR node, as data.

A ``.nir`` file holds continuous dynamics and says nothing about dt, reset moment, comparison, spikes per step or order
of updates. A `Dialect` holds exactly these decisions; `spikeport.converters.read.neurons` applies them. Written
``name`` or ``name:key=value,...``, for example ``snntorch:reset=zero,reset_delay=0``.

Sources: the exporters and step functions of snnTorch 1.0.0, Norse 1.1.0, Sinabs 3.1.3, SpikingJelly 2.0.0 and
Rockpool 3.1.0, checked spike for spike against recordings of each; Spyx and ``nir`` as in Pedersen et al., Nature
Communications 15:8122 (2024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal

from spikeport.errors import DialectError

_COMPANIONS = {"v_min": "if_v_min", "reset_delay": "cuba_reset_delay"}


@dataclass(frozen=True)
class Dialect:
    """Every decision that a NIR file leaves open. Each attribute but ``name`` is also a key of the written form.

    Attributes:
        name: which framework's defaults the others started from.
        dt: seconds per step, or None where neither the file nor the user has said it.
        tau_unit: what a time constant in the file counts: seconds, steps, or seconds times dt (Norse's exporter
            writes tau·dt).
        decay: ``euler``: 1 - dt/tau. ``exp``: exp(-dt/tau).
        gain: what multiplies the input of a leaky membrane: ``file``: r·dt/tau; ``one``; ``norm``: 1 - decay.
        if_gain: the same for IF and I, which have no tau: ``file``: r·dt; ``one``; ``r``.
        current: what multiplies the input of a synaptic current: ``file``: w_in·dt/tau_syn; ``jump``: w_in;
            ``decayed``: the current's own decay (the input decays in the step in which it arrives).
        compare: does a membrane exactly at the threshold fire: ``gt`` no, ``ge`` yes.
        reset: ``zero``, ``value`` (to the file's v_reset), ``subtract`` or ``none``.
        reset_delay: 1: the reset acts in the step after the spike. 0: in the same step.
        cuba_reset_delay: the same for neurons with a synaptic current; None where it is no other (Spyx' differ).
        max_spikes: most spikes of one neuron in one step; None for no limit. ``spike=single|multi`` sets 1 or None.
        v_min: lower bound of the membrane: None, a number, or a multiple of the threshold such as ``-thr``.
        if_v_min: the same for IF alone.
        v_init: membrane before the first step: a number, ``v_reset`` or ``v_leak``.
        tau_syn: time constant of a synaptic current that the exporter lost, in ``tau_unit``; None for none.
        output_delay: 1 where spikes leave a neuron one step later (Spyx).
        feedback: ``neuron``: recurrent maps see s[t-1], their bias acts from t = 0. ``target``: they give nothing at
            t = 0.
        recurrent_reset_discards: with reset=zero and reset_delay=1, neurons with a current or a recurrent map lose
            the input of the step in which they are reset (snnTorch's Synaptic, RLeaky, RSynaptic).
        lost: keys whose value the framework's exporter does not write, so that its default is a guess. Not a key.
    """

    name: str
    dt: float | None = None
    tau_unit: Literal["seconds", "steps", "seconds_dt"] = "seconds"
    decay: Literal["euler", "exp"] = "euler"
    gain: Literal["file", "one", "norm"] = "file"
    if_gain: Literal["file", "one", "r"] = "file"
    current: Literal["file", "jump", "decayed"] = "file"
    compare: Literal["gt", "ge"] = "gt"
    reset: Literal["zero", "value", "subtract", "none"] = "value"
    reset_delay: Literal[0, 1] = 0
    cuba_reset_delay: Literal[0, 1] | None = None
    max_spikes: int | None = 1
    v_min: float | str | None = None
    if_v_min: float | str | None = None
    v_init: float | Literal["v_reset", "v_leak"] = 0.0
    tau_syn: float | None = None
    output_delay: Literal[0, 1] = 0
    feedback: Literal["neuron", "target"] = "neuron"
    recurrent_reset_discards: bool = False
    lost: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The written form that parses back to this dialect: dt, and what differs from the framework's defaults."""
        base = DIALECTS[self.name]
        said = {f.name for f in fields(self) if f.name in KEYS and getattr(self, f.name) != getattr(base, f.name)}
        said |= {"dt"} if self.dt is not None else set()
        for wide, narrow in _COMPANIONS.items():
            # A wide key also sets its narrower companion, which has to be said where it is not what the wide one sets.
            if wide in said:
                kept = KEYS[wide].parse(_written(getattr(self, wide)))[narrow] == getattr(self, narrow)
                said = said - {narrow} if kept else said | {narrow}
        parts = [f"{f.name}={_written(getattr(self, f.name))}" for f in fields(self) if f.name in said]
        return self.name + (":" + ",".join(parts) if parts else "")


DIALECTS: Mapping[str, Dialect] = {
    d.name: d
    for d in (
        Dialect("nir"),
        Dialect(
            "snntorch",
            dt=1e-4,
            if_gain="one",
            reset="subtract",
            reset_delay=1,
            recurrent_reset_discards=True,
            lost=("reset", "reset_delay"),
        ),
        Dialect(
            "norse",
            dt=1e-3,
            tau_unit="seconds_dt",
            if_gain="r",
            current="jump",
            v_init="v_leak",
            feedback="target",
            lost=("reset",),
        ),
        Dialect(
            "sinabs",
            dt=1.0,
            tau_unit="steps",
            decay="exp",
            gain="norm",
            if_gain="one",
            current="decayed",
            compare="ge",
            reset="subtract",
            max_spikes=None,
            if_v_min="-thr",
            feedback="target",
            lost=("reset", "spike", "norm_input", "v_min", "tau_syn"),
        ),
        Dialect("spikingjelly", dt=1e-4, compare="ge", v_init="v_reset"),
        Dialect(
            "rockpool",
            decay="exp",
            gain="one",
            if_gain="one",
            current="decayed",
            compare="ge",
            reset="subtract",
            max_spikes=None,
            lost=("max_spikes",),
        ),
        Dialect("spyx", dt=1e-4, if_gain="one", reset="subtract", reset_delay=1, cuba_reset_delay=0, output_delay=1),
    )
}


@dataclass(frozen=True)
class Key:
    """One key of the written form: what it may be, what it means, and how a value becomes settings."""

    allowed: str
    meaning: str
    parse: Callable[[str], Mapping[str, Any]]


def _choice(name: str, *allowed: str) -> Callable[[str], Mapping[str, Any]]:
    def parse(text: str) -> Mapping[str, Any]:
        if text not in allowed:
            raise ValueError(text)
        return {name: int(text) if text in ("0", "1") else text}

    return parse


def _reset_delay(text: str) -> Mapping[str, Any]:
    return {**_choice("reset_delay", "0", "1")(text), "cuba_reset_delay": None}


def _cuba_reset_delay(text: str) -> Mapping[str, Any]:
    return {"cuba_reset_delay": {"0": 0, "1": 1, "none": None}[text]}


def _number(name: str, least: float) -> Callable[[str], Mapping[str, Any]]:
    def parse(text: str) -> Mapping[str, Any]:
        value = float(text)
        if not least < value < float("inf"):
            raise ValueError(text)
        return {name: value}

    return parse


def _max_spikes(text: str) -> Mapping[str, Any]:
    if text in ("none", "inf"):
        return {"max_spikes": None}
    if int(text) < 1:
        raise ValueError(text)
    return {"max_spikes": int(text)}


def _floor(*names: str) -> Callable[[str], Mapping[str, Any]]:
    def parse(text: str) -> Mapping[str, Any]:
        if text == "none":
            return dict.fromkeys(names)
        floor_of(text, 1.0)
        return dict.fromkeys(names, text if text.endswith("thr") else float(text))

    return parse


def _start(text: str) -> Mapping[str, Any]:
    if text in ("v_reset", "v_leak"):
        return {"v_init": text}
    if abs(float(text)) < float("inf"):
        return {"v_init": float(text)}
    raise ValueError(text)


def _switch(name: str, off: Any, on: Any) -> Callable[[str], Mapping[str, Any]]:
    words = {"0": off, "false": off, "1": on, "true": on}

    def parse(text: str) -> Mapping[str, Any]:
        if text.lower() not in words:
            raise ValueError(text)
        return {name: words[text.lower()]}

    return parse


KEYS: Mapping[str, Key] = {
    "dt": Key("a positive number", "seconds per step", _number("dt", 0.0)),
    "reset": Key(
        "zero, value, subtract, none",
        "what a spike does to the membrane",
        _choice("reset", "zero", "value", "subtract", "none"),
    ),
    "reset_delay": Key("0, 1", "reset in the step of the spike, or in the next", _reset_delay),
    "cuba_reset_delay": Key("0, 1, none", "the same, for neurons with a current alone", _cuba_reset_delay),
    "spike": Key(
        "single, multi",
        "at most one spike per step, or as many as thresholds fit",
        lambda text: {"max_spikes": {"single": 1, "multi": None}[text]},
    ),
    "max_spikes": Key("a positive integer, none", "most spikes per step", _max_spikes),
    "norm_input": Key("true, false", "scale the input by 1 - decay (Sinabs)", _switch("gain", "one", "norm")),
    "v_min": Key(
        "a number, a multiple of the threshold (-thr, -2thr), none",
        "lower bound of the membrane",
        _floor("v_min", "if_v_min"),
    ),
    "if_v_min": Key("as v_min", "lower bound of the membrane of IF nodes alone", _floor("if_v_min")),
    "v_init": Key("a number, v_reset, v_leak", "membrane before the first step", _start),
    "tau_unit": Key(
        "seconds, steps, seconds_dt",
        "what the file's time constants count",
        _choice("tau_unit", "seconds", "steps", "seconds_dt"),
    ),
    "tau_syn": Key(
        "a positive number", "synaptic time constant that the exporter lost, in tau_unit", _number("tau_syn", 0.0)
    ),
    "decay": Key("euler, exp", "1 - dt/tau or exp(-dt/tau)", _choice("decay", "euler", "exp")),
    "gain": Key(
        "file, one, norm",
        "input gain of leaky membranes: r·dt/tau, 1, 1 - decay",
        _choice("gain", "file", "one", "norm"),
    ),
    "if_gain": Key("file, one, r", "input gain of IF and I: r·dt, 1, r", _choice("if_gain", "file", "one", "r")),
    "current": Key(
        "file, jump, decayed",
        "input gain of synaptic currents: w_in·dt/tau_syn, w_in, decay",
        _choice("current", "file", "jump", "decayed"),
    ),
    "compare": Key("gt, ge", "fire above the threshold, or from it on", _choice("compare", "gt", "ge")),
    "output_delay": Key("0, 1", "steps by which spikes leave a neuron later", _choice("output_delay", "0", "1")),
    "feedback": Key(
        "neuron, target",
        "recurrent maps see s[t-1] (their bias acts at once), or are silent at t = 0",
        _choice("feedback", "neuron", "target"),
    ),
    "recurrent_reset_discards": Key(
        "true, false",
        "a delayed reset to zero discards that step's input (snnTorch's Synaptic and recurrent neurons)",
        _switch("recurrent_reset_discards", False, True),
    ),
}


@dataclass(frozen=True)
class Named:
    """A dialect as a user wrote it: the settings, and which keys were said aloud."""

    dialect: Dialect
    said: frozenset[str]


def parse_dialect(text: str) -> Named:
    """Read ``name`` or ``name:key=value,...``.

    Raises:
        DialectError: unknown name, key or value; the message lists what is allowed.
    """
    name, _, rest = text.strip().partition(":")
    if name not in DIALECTS:
        hint = " Lava's own .net files hold integers; export the model to NIR." if name.startswith("lava") else ""
        raise DialectError(
            f"dialect '{name}' is unknown{_meant(name, DIALECTS)}; known: {', '.join(sorted(DIALECTS))}.{hint}"
        )
    settings: dict[str, Any] = {}
    said: set[str] = set()
    for part in filter(None, rest.split(",")):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in KEYS:
            raise DialectError(
                f"dialect key '{key}' is unknown{_meant(key, KEYS)}; write key=value with one of: {', '.join(KEYS)}."
            )
        if not value:
            raise DialectError(f"dialect key '{key}' has no value; write {key}=..., allowed: {KEYS[key].allowed}.")
        if key in said:
            raise DialectError(f"dialect key '{key}' is given twice in '{text}'. Give it once.")
        said.add(key)
        settings |= _parsed(key, value)
    return Named(replace(DIALECTS[name], **settings), frozenset(said))


def _meant(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _parsed(key: str, value: str) -> Mapping[str, Any]:
    try:
        return KEYS[key].parse(value)
    except (ValueError, KeyError, OverflowError):
        raise DialectError(f"dialect key '{key}' cannot be '{value}'; allowed: {KEYS[key].allowed}.") from None


def floor_of(text: float | str, threshold: Any) -> Any:
    """``v_min`` as a number: a number as it stands, ``-thr`` or ``-2thr`` as a multiple of the threshold.

    Raises:
        ValueError: neither.
    """
    if isinstance(text, str) and text.endswith("thr"):
        factor = text.removesuffix("thr").removesuffix("*")
        return (float(factor + "1") if factor in ("", "-", "+") else float(factor)) * threshold
    if not abs(float(text)) < float("inf"):
        raise ValueError(text)
    return float(text)


def _written(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe_dialects() -> str:
    """Every dialect with its defaults and every key, as text for people."""
    lines = [f"{name:13} {', '.join(_defaults(d))}" for name, d in DIALECTS.items()]
    width = max(map(len, KEYS))
    lines += ["", *(f"{key:{width}}  {k.meaning} [{k.allowed}]" for key, k in KEYS.items())]
    return "\n".join(lines)


def _defaults(dialect: Dialect) -> list[str]:
    shown = (f.name for f in fields(dialect) if f.name in KEYS)
    return [f"{name}={_written(getattr(dialect, name))}" for name in shown]
