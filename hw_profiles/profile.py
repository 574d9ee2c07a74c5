"""Profile: one chip as data. What fits on it, what its registers hold, what it offers, what its events cost.

A profile is a TOML file beside this module, or a user's own; docs/profiles.md shows how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from spikeport.errors import ProfileError
from spikeport.hw_profiles.prices import Prices
from spikeport.hw_profiles.quantity import Choices, Count, Feature, Sourced, Strict
from spikeport.hw_profiles.toml_file import read_toml

_SHIPPED = Path(__file__).parent
_POSITIVE = (1, 1 << 40)
_ARITHMETIC: Mapping[str, tuple[int, int]] = {
    "weight_bits": (1, 8),
    "weight_exp_min": (-8, 7),
    "weight_exp_max": (-8, 7),
    "graded_spike_bits": (0, 32),
    "vth_bits": (17, 17),
    "bias_mant_bits": (13, 13),
    "bias_exp_max": (7, 7),
    "decay_bits": (12, 12),
    "state_bits": (24, 24),
}
"""What `spikeport.converters.arithmetic` computes with (lava-nc 0.10.0, fixed-point process models of Loihi)."""


class Limits(Strict):
    """What fits; every entry a `Count` or None where the chip has no such limit.

    Attributes:
        cores: neuro cores per chip.
        chips: how many chips a deployment may use.
        neurons_per_core: compartments, strictly; see `NeuronModel`.
        synaptic_memory_bytes_per_core: for synapses, and neuron state where `NeuronModel.state_bytes` says so.
        fan_in_axons_per_core: distinct source neurons whose spikes a core can tell apart.
        fan_out_axons_per_core: destinations a core can send to: one per neuron and destination core.
        parameter_sets_per_core: distinct sets of model, decays, refractory period and floor of v.
        threshold_sets_per_core: distinct pairs of threshold and reset amount; without these two limits decays and
            thresholds may differ freely from neuron to neuron.
        synapse_formats_per_core: distinct sets of exponent, weight bits, sign mode, delay width and graded.
        weight_bits: most bits of a weight. weight_exp_min, weight_exp_max: range of its shared exponent.
        max_delay: D; a spike sent at t can arrive at t + 1 + D.
        graded_spike_bits: payload of a spike; 0: spikes are plain.
        vth_bits, bias_mant_bits, bias_exp_max, decay_bits, state_bits: widths of the registers of
            `spikeport.converters.chip_network.Population` (u and v have state_bits). spikeport computes in Loihi's
            registers and refuses a chip with others, rather than run its networks on another chip's arithmetic.
    """

    cores: Count
    chips: Count
    neurons_per_core: Count
    synaptic_memory_bytes_per_core: Count
    fan_in_axons_per_core: Count
    fan_out_axons_per_core: Count
    parameter_sets_per_core: Count | None = None
    threshold_sets_per_core: Count | None = None
    synapse_formats_per_core: Count | None = None
    weight_bits: Count
    weight_exp_min: Count
    weight_exp_max: Count
    max_delay: Count
    graded_spike_bits: Count
    vth_bits: Count
    bias_mant_bits: Count
    bias_exp_max: Count
    decay_bits: Count
    state_bits: Count

    @model_validator(mode="after")
    def _are_possible(self) -> Limits:
        for key in type(self).model_fields:
            if key in _ARITHMETIC:
                _check(key, getattr(self, key), _ARITHMETIC[key], "spikeport's arithmetic is Loihi's: ")
            else:
                _check(key, getattr(self, key), (0, 1 << 40) if key == "max_delay" else _POSITIVE)
        return self


def _check(key: str, count: Count | None, bounds: tuple[int, int] = _POSITIVE, why: str = "") -> None:
    least, most = bounds
    if count is not None and not least <= count.value <= most:
        wanted = f"be {least}" if least == most else f"lie between {least} and {most}"
        raise ValueError(f"{why}{key} must {wanted}, found {count.value}")


class Features(Strict):
    """What the chip can do beyond the limits.

    Attributes:
        weight_sharing_conv: source neurons of a convolution that reach their targets alike share one copy of the
            kernel; without it every synapse is stored.
    """

    weight_sharing_conv: Feature


class Mesh(Strict):
    """Tiles of a chip, west to east and north to south, and the cores of each."""

    tiles_x: Count
    tiles_y: Count
    cores_per_tile: Count

    @model_validator(mode="after")
    def _are_possible(self) -> Mesh:
        for key in type(self).model_fields:
            _check(key, getattr(self, key))
        return self


class SynapseFormat(Strict):
    """How a core stores the synapses of one source neuron: in blocks, each a header and a few synapses.

    Attributes:
        word_bits: a block is rounded up to a multiple of this.
        header_bits: per block.
        synapses_per_block: at most.
        weight_bits: widths a weight can be stored in.
        index_bits: widths a target index can be stored in; only sparse and convolutional groups store one.
    """

    word_bits: Count
    header_bits: Count
    synapses_per_block: Count
    weight_bits: Choices
    index_bits: Choices

    @model_validator(mode="after")
    def _are_possible(self) -> SynapseFormat:
        _check("word_bits", self.word_bits)
        _check("header_bits", self.header_bits, (0, _POSITIVE[1]))
        _check("synapses_per_block", self.synapses_per_block)
        return self


class NeuronModel(Sourced):
    """A neuron model the chip offers.

    Attributes:
        compartments: how many of ``neurons_per_core`` one neuron takes.
        state_bytes: what one neuron takes of the synaptic memory (0: its state has a memory of its own).
    """

    compartments: int = Field(ge=1)
    state_bytes: int = Field(default=0, ge=0)


class Profile(Strict):
    """One chip.

    Attributes:
        name: as given to ``--target`` and printed in results.
        neuron_models: by name: "lif", "lif_subtract", "integrator", "delta", "sigma_delta", "sigma";
            "lif_refractory" and "lif_v_min" say that the chip offers these options. A model that is absent is not
            offered.
        prices: see `Prices`.
    """

    name: str = Field(min_length=1, max_length=100)
    title: str
    description: str
    limits: Limits
    features: Features
    mesh: Mesh
    synapse_format: SynapseFormat
    neuron_models: Mapping[str, NeuronModel]
    prices: Prices = Prices()

    @model_validator(mode="after")
    def _mesh_seats_the_cores(self) -> Profile:
        seats = self.mesh.tiles_x.value * self.mesh.tiles_y.value * self.mesh.cores_per_tile.value
        if seats < self.limits.cores.value:
            raise ValueError(f"the mesh has {seats} seats for {self.limits.cores.value} cores")
        return self

    @model_validator(mode="after")
    def _synapses_can_be_stored(self) -> Profile:
        layout, neurons = self.synapse_format, self.limits.neurons_per_core.value
        for key, widths, needed, what in (
            ("index_bits", layout.index_bits, (neurons - 1).bit_length(), f"a core of {neurons} neurons"),
            ("weight_bits", layout.weight_bits, self.limits.weight_bits.value, "the widest weight"),
        ):
            if max(widths.values) < needed:
                raise ValueError(f"synapse_format.{key}: {what} needs {needed} bits, found {max(widths.values)}")
        return self

    def with_prices_of(self, other: Profile) -> Profile:
        """This chip, its unknown prices filled with ``other``'s, each marked "assumed" and named so."""
        return self.model_copy(
            update={
                "name": f"{self.name}-at-{other.name}-prices",
                "title": f"{self.title}, at the prices of {other.name} (an assumption)",
                "prices": other.prices.lent_to(self.prices, other.name, self.name),
            }
        )

    def to_json(self) -> str:
        """The whole profile as JSON, as a deployment stores it."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Profile:
        """The profile `to_json` wrote.

        Raises:
            ProfileError: the text is no profile.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ProfileError(_explain("the stored profile", error)) from None


def list_profiles() -> tuple[str, ...]:
    """Names of the profiles that come with spikeport."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))


def load_profile(name_or_path: str | Path) -> Profile:
    """A shipped profile by name, or a user's own by the path of its .toml file.

    Raises:
        ProfileError: there is no such profile, or it does not validate; the message names each wrong field.
    """
    path = _locate(str(name_or_path))
    try:
        return Profile.model_validate(read_toml(path))
    except ValidationError as error:
        raise ProfileError(_explain(f"profile {path.name}", error)) from None


def _locate(name: str) -> Path:
    if name in list_profiles():
        return _SHIPPED / f"{name}.toml"
    if name.endswith(".toml"):
        return Path(name)
    raise ProfileError(
        f'there is no profile "{name[:100]}"; spikeport has {", ".join(list_profiles())}, '
        "or give the path of your own .toml file"
    )


def _explain(what: str, error: ValidationError) -> str:
    wrong = error.errors(include_url=False)
    lines = [f"  {'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg']}{_found(e['input'])}" for e in wrong[:20]]
    more = [f"  and {len(wrong) - 20} more"] if len(wrong) > 20 else []
    return "\n".join([f"{what} is not valid:", *lines, *more, "see docs/profiles.md for a complete example"])


def _found(value: object) -> str:
    return f" (found {str(value)[:60]!r})" if isinstance(value, str | int | float) else ""
