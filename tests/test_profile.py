"""Profiles: what ships validates, what is wrong is named."""

import re
from pathlib import Path

import pytest

from spikeport.errors import ProfileError
from spikeport.hw_profiles.prices import Prices
from spikeport.hw_profiles.profile import Limits, Profile, list_profiles, load_profile
from spikeport.hw_profiles.quantity import Curve, Quantity, weakest

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHIPPED = ("loihi1", "loihi1-sanafe", "loihi2")


@pytest.fixture
def example() -> str:
    """The complete example of docs/profiles.md."""
    found = re.search(r"^```toml\n(.*?)^```", (DOCS / "profiles.md").read_text(encoding="utf-8"), re.M | re.S)
    assert found
    return found[1]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own.toml"


def test_three_profiles_ship() -> None:
    assert list_profiles() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_profile_loads_goes_by_its_name_and_survives_json(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert Profile.from_json(profile.to_json()) == profile


def test_loihi1_has_the_published_numbers() -> None:
    profile = load_profile("loihi1")
    assert profile.limits.synaptic_memory_bytes_per_core.value == 16384 * 8
    assert profile.prices.energy("synaptic_op_dense").value == 23.6
    assert profile.prices.time("neuron_update_active").value == 8.4
    assert "Table 2" in profile.prices.energy("hop_north_south").source


def test_both_price_lists_of_loihi1_describe_the_same_chip() -> None:
    davies, fitted = load_profile("loihi1"), load_profile("loihi1-sanafe")
    shared = {"limits", "features", "mesh", "synapse_format", "neuron_models"}
    assert davies.model_dump(include=shared) == fitted.model_dump(include=shared)


def test_loihi2_has_no_price_but_static_power() -> None:
    prices = load_profile("loihi2").prices
    known = {key for key in Prices.model_fields if getattr(prices, key).evidence != "unknown"}
    assert known == {"static_power_per_chip_mw"}


def test_borrowed_prices_are_assumed_and_say_so_and_own_ones_stay() -> None:
    priced = load_profile("loihi2").with_prices_of(load_profile("loihi1"))
    synop, barrier = priced.prices.energy("synaptic_op_dense"), priced.prices.barrier_energy_pj
    assert (synop.value, synop.evidence) == (23.6, "assumed")
    assert synop.source.startswith("prices of loihi1, assumed for loihi2 (Davies")
    assert barrier.evidence == "not-modelled"
    assert priced.prices.chip_crossing_energy_pj.evidence == "unknown"
    assert priced.prices.static_power_per_chip_mw == load_profile("loihi2").prices.static_power_per_chip_mw
    assert priced.name == "loihi2-at-loihi1-prices"
    assert Profile.from_json(priced.to_json()) == priced


def test_the_page_on_profiles_has_an_example_that_loads(own: Path, example: str) -> None:
    own.write_text(example, encoding="utf-8")
    profile = load_profile(own)
    assert profile.limits.cores.value == 2
    assert profile.prices.barrier_time_ns.evidence == "unknown"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cores = { value = 2,", "cores = { value = 'many',", "limits.cores.value: .*found 'many'"),
        ("cores = { value = 2,", "cores = { value = -2,", "limits: .*cores must lie between 1"),
        ("max_delay = ", "max_dealy = ", "limits.max_delay: Field required"),
        ("max_delay = ", "max_dealy = ", "limits.max_dealy: Extra inputs are not permitted"),
        ('value = 20.0, unit = "pJ"', 'value = 20.0, unit = "nJ"', 'must have unit "pJ", found "nJ"'),
        ("value = 20.0,", "value = nan,", "prices.synaptic_op_dense_energy_pj: .*finite"),
        ("value = 20.0,", "value = -1.0,", "not negative, found -1.0"),
        ("value = 20.0, ", "", 'exactly where evidence is "unknown"'),
        ('bench, 0.8 V", evidence = "measured"', 'bench, 0.8 V", evidence = "rumour"', "evidence: .*found 'rumour'"),
        ("[mesh]\ntiles_x = { value = 2", "[mesh]\ntiles_x = { value = 1", "the mesh has 1 seats for 2 cores"),
        ("values = [4, 8]", "values = []", "synapse_format.weight_bits.values"),
        ("lif = { compartments = 1", "lif = { compartments = 0", "neuron_models.lif.compartments"),
        ("values = [8]", "values = [5]", r"index_bits: a core of 64 neurons needs 6 bits, found 5"),
        ("values = [4, 8]", "values = [4]", r"weight_bits: the widest weight needs 8 bits, found 4"),
        ("word_bits = { value = 64", "word_bits = { value = 0", "synapse_format: .*word_bits must lie between 1"),
        ("tiles_y = { value = 1", "tiles_y = { value = -1", "mesh: .*tiles_y must lie between 1"),
        ("[limits]", "[limits", "is not TOML"),
    ],
)
def test_a_wrong_field_is_named(own: Path, example: str, old: str, new: str, message: str) -> None:
    assert old in example
    own.write_text(example.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProfileError, match=message):
        load_profile(own)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vth_bits", 16, "arithmetic is Loihi's: vth_bits must be 17, found 16"),
        ("bias_mant_bits", 12, "bias_mant_bits must be 13"),
        ("bias_exp_max", 6, "bias_exp_max must be 7"),
        ("decay_bits", 16, "decay_bits must be 12"),
        ("state_bits", 32, "state_bits must be 24"),
        ("weight_bits", 9, "weight_bits must lie between 1 and 8"),
        ("weight_exp_max", 8, "weight_exp_max must lie between -8 and 7"),
        ("graded_spike_bits", 33, "graded_spike_bits must lie between 0 and 32"),
    ],
)
def test_registers_other_than_those_spikeport_computes_with_are_refused(
    own: Path, example: str, key: str, value: int, message: str
) -> None:
    own.write_text(re.sub(rf"^{key} = {{ value = \d+", f"{key} = {{ value = {value}", example, flags=re.M), "utf-8")
    with pytest.raises(ProfileError, match=message):
        load_profile(own)


def test_each_wrong_field_has_its_line(own: Path) -> None:
    own.write_text('name = "x"\n', encoding="utf-8")
    with pytest.raises(ProfileError) as raised:
        load_profile(own)
    lines = str(raised.value).splitlines()
    assert lines[0] == "profile own.toml is not valid:"
    assert "  limits: Field required" in lines


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff\xfe", "is not TOML"), (b"#" * (1 << 21), "larger than 1 MiB")]
)
def test_a_file_that_is_no_profile_is_refused(own: Path, content: bytes, message: str) -> None:
    own.write_bytes(content)
    with pytest.raises(ProfileError, match=message):
        load_profile(own)


@pytest.mark.parametrize("name", ["loihi3", "../loihi1", "missing.toml", ".", "a\0b.toml"])
def test_a_profile_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ProfileError, match=r"no profile|cannot be read|no file name"):
        load_profile(name)


def test_stored_text_that_is_no_profile_is_refused() -> None:
    with pytest.raises(ProfileError, match="the stored profile is not valid"):
        Profile.from_json('{"name": 3}')


def test_the_weakest_class_decides_and_what_is_left_out_does_not_count() -> None:
    assert weakest(["measured", "secondary", "not-modelled", "fitted"]) == "secondary"
    assert weakest(["assumed", "unknown"]) == "unknown"


def test_what_is_left_out_must_be_zero() -> None:
    with pytest.raises(ValueError, match="must be 0"):
        Quantity(value=1.0, unit="pJ", source="x", evidence="not-modelled")


def test_a_curve_must_ascend() -> None:
    with pytest.raises(ValueError, match="ascend"):
        Curve(points=((2, 1), (1, 2)), x_unit="tiles", unit="ns", source="x", evidence="fitted")


def test_every_limit_of_a_shipped_profile_names_its_source() -> None:
    for name in SHIPPED:
        limits = load_profile(name).limits
        counts = [getattr(limits, key) for key in Limits.model_fields]
        assert all(len(count.source) > 10 for count in counts if count is not None)
