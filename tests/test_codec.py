import numpy as np
import pytest

from spikeport.deploy.codec import Codec, encoder_text, parse_decoder, parse_encoder
from spikeport.deploy.decode import Decoder, decode
from spikeport.deploy.encode import Current, Graded, Latency, Rate, Spikes, encode, largest
from spikeport.errors import DataError

RAMP = np.linspace(0.0, 1.0, 17).reshape(1, 17)


def slow_integrate_and_fire(values, steps, start=0.0):
    spikes = np.zeros((steps, len(values)), dtype=np.int64)
    charge = [int(start * 65536)] * len(values)
    for t in range(steps):
        for i, value in enumerate(values):
            charge[i] += int(value * 65536 + 0.5)
            if charge[i] >= 65536:
                charge[i] -= 65536
                spikes[t, i] = 1
    return spikes


@pytest.mark.parametrize("start", [0.0, 0.5, 0.9])
def test_current_equals_an_integrate_and_fire_neuron_stepped_by_hand(start):
    spikes = encode(Current(steps=23, start=start), RAMP, (17,)).spikes
    assert np.array_equal(spikes[0], slow_integrate_and_fire(RAMP[0], 23, start))


def test_current_counts_are_value_times_steps():
    assert encode(Current(steps=16, high=16.0), 16 * RAMP, (17,)).spikes.sum(1).tolist() == [list(range(17))]


def test_current_follows_data_that_change_in_time():
    data = np.array([[[1.0], [0.0], [0.5], [0.5]]])
    assert encode(Current(), data, (1,)).spikes.ravel().tolist() == [1, 0, 0, 1]


def test_rate_is_the_same_whole_or_in_batches():
    data = np.random.default_rng(0).random((5, 3))
    whole = encode(Rate(steps=40, seed=7), data, (3,)).spikes
    parts = [encode(Rate(steps=40, seed=7), data[i : i + 2], (3,), first=i).spikes for i in (0, 2, 4)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_rate_depends_on_seed_and_sample_and_has_the_right_mean():
    data = np.full((2, 50), 0.3)
    one, other = (encode(Rate(steps=200, seed=seed), data, (50,)).spikes for seed in (1, 2))
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])
    assert abs(one.mean() - 0.3) < 0.02


def test_rate_is_exact_at_both_ends():
    spikes = encode(Rate(steps=300), np.array([[0.0, 1.0]]), (2,)).spikes
    assert spikes.sum(1).tolist() == [[0, 300]]


def test_latency_sends_one_spike_the_larger_the_earlier():
    spikes = encode(Latency(steps=5), np.array([[1.0, 0.75, 0.25, 0.01, 0.0]]), (5,)).spikes[0]
    assert spikes.sum(0).tolist() == [1, 1, 1, 1, 0]
    assert spikes.argmax(0).tolist() == [0, 1, 3, 4, 0]


def test_graded_payload_is_the_rounded_value_and_floats_are_its_share():
    encoded = encode(Graded(steps=2, levels=10), np.array([[0.0, 0.46, 1.0]]), (3,))
    assert encoded.spikes.tolist() == [[[0, 5, 10]] * 2]
    assert np.allclose(encoded.floats[0, 0], [0.0, 0.5, 1.0])


def test_spikes_pass_unchanged():
    data = np.random.default_rng(0).integers(0, 2, (2, 4, 3), dtype=np.uint8)
    encoded = encode(Spikes(), data, (3,))
    assert np.array_equal(encoded.spikes, data)
    assert encoded.spikes.dtype == np.int64
    assert encoded.floats.dtype == np.float32


def test_too_many_spikes_are_refused_or_clamped_with_a_finding():
    data = np.array([[[0, 1, 3]]])
    with pytest.raises(DataError, match="up to 3 spikes in one step, the encoder allows 1"):
        encode(Spikes(), data, (3,))
    encoded = encode(Spikes(clamp=True), data, (3,))
    assert encoded.spikes.ravel().tolist() == [0, 1, 1]
    assert encoded.findings[0].code == "input-clamped"
    assert encode(Spikes(max_spikes=3), data, (3,)).spikes.max() == 3


def test_values_outside_the_range_are_refused_or_clamped_with_a_finding():
    data = np.array([[-1.0, 0.5]])
    with pytest.raises(DataError, match=r"1 of 2 values lie outside the encoder's range 0 \.\. 1"):
        encode(Current(steps=4), data, (2,))
    encoded = encode(Current(steps=4, clamp=True), data, (2,))
    assert encoded.spikes.sum(1).tolist() == [[0, 2]]
    assert "1 of 2" in encoded.findings[0].message


def test_channel_axis_of_one_may_be_left_out():
    assert encode(Spikes(), np.ones((2, 5, 3, 4), np.uint8), (1, 3, 4)).spikes.shape == (2, 5, 1, 3, 4)


@pytest.mark.parametrize(
    ("encoder", "data", "message"),
    [
        (Spikes(), np.ones((2, 5, 4)), r"shape \(2, 5, 4\), the network's input takes \(B, T, 3\)"),
        (Spikes(), np.ones((2, 3)), "no time axis"),
        (Spikes(), np.full((1, 1, 3), 0.5), "fractions"),
        (Spikes(), np.full((1, 1, 3), -1), "negative"),
        (Spikes(), np.full((1, 1, 3), np.nan), "NaN"),
        (Spikes(), np.zeros((0, 4, 3)), "empty"),
        (Spikes(), np.array([[["a", "b", "c"]]]), "takes numbers"),
        (Current(), np.ones((2, 3)), "for how many steps"),
        (Current(steps=4), np.ones((2, 5, 3)), "5 time steps, the encoder says steps=4"),
        (Latency(steps=4), np.ones((2, 4, 3)), "without a time axis"),
    ],
)
def test_data_that_do_not_fit_are_refused(encoder, data, message):
    with pytest.raises(DataError, match=message):
        encode(encoder, data, (3,))


def test_largest_payload_tells_who_needs_graded_spikes():
    assert [largest(e) for e in (Spikes(), Spikes(max_spikes=4), Current(), Rate(), Latency(3), Graded(levels=9))] == [
        1, 4, 1, 1, 1, 9,
    ]  # fmt: skip


OUTPUT = np.array([[[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]]])


def test_count_takes_the_most_spikes_and_first_spike_the_earliest():
    assert decode(Decoder("count"), OUTPUT).classes.tolist() == [0]
    assert decode(Decoder("first-spike"), OUTPUT).classes.tolist() == [2]


def test_first_spike_ties_go_to_the_count_then_the_lower_index():
    assert decode(Decoder("first-spike"), np.array([[[1, 1, 1], [0, 1, 1]]])).classes.tolist() == [1]


def test_first_spike_of_a_silent_output_is_the_first_class_with_score_zero():
    decoded = decode(Decoder("first-spike"), np.zeros((1, 3, 2)))
    assert decoded.classes.tolist() == [0]
    assert decoded.scores.tolist() == [[0.0, 0.0]]


def test_membranes_are_read_as_mean_last_and_largest():
    v = np.array([[[0.0, 5.0, 4.0], [0.0, 0.0, 4.0], [3.0, 0.0, 2.0]]])
    kinds = ("membrane", "membrane-last", "membrane-max")
    assert [int(decode(Decoder(kind), v).classes[0]) for kind in kinds] == [2, 0, 1]


@pytest.mark.parametrize(
    "text",
    ["spikes", "current:steps=16,low=0,high=16", "rate:seed=123456789,steps=8", "latency:steps=5", "graded:levels=7"],
)
def test_codec_survives_its_text_and_its_json(text):
    codec = Codec(parse_encoder(text), parse_decoder("first-spike"))
    assert parse_encoder(encoder_text(codec.encoder)) == codec.encoder
    assert Codec.from_dict(codec.as_dict()) == codec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poisson", "'poisson' does not exist; there are spikes, current, rate, latency, graded"),
        ("current:step=4", "no option 'step'; there are steps, low, high"),
        ("current:steps=4.5", "steps=4.5 must be a whole number"),
        ("current:steps=4,steps=5", "must be written once"),
        ("current:steps", "must be written once, as steps=value"),
        ("current:low=2,high=1", "low=2 must be less than high=1"),
        ("current:low=nan", "must be finite"),
        ("current:start=1", "must lie in"),
        ("latency", "say steps"),
        ("spikes:clamp=maybe", "must be true or false"),
        ("graded:levels=0", "levels=0 must lie in"),
        ("rate:steps=-1", "steps=-1 must lie in"),
    ],
)
def test_encoder_text_that_means_nothing_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        parse_encoder(text)


def test_unknown_decoder_lists_what_exists():
    with pytest.raises(DataError, match="'vote' does not exist; there are count, first-spike, membrane"):
        parse_decoder("vote")


@pytest.mark.parametrize(
    "record",
    [
        {"encoder": {"kind": "spikes"}},
        {"encoder": {"kind": "spikes", "max_spikes": "many"}, "decoder": {"kind": "count"}},
        {"encoder": {"kind": "spikes", "max_spikes": True}, "decoder": {"kind": "count"}},
        {"encoder": {"kind": "spikes"}, "decoder": {"kind": "count", "n": 1}},
    ],
)
def test_codec_records_that_do_not_fit_are_refused(record):
    with pytest.raises(DataError):
        Codec.from_dict(record)
