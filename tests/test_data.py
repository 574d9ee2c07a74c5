import io
import zipfile

import numpy as np
import pytest

from spikeport.converters.write.atomic import atomic_write
from spikeport.deploy.data import data_hash, load_data
from spikeport.errors import DataError, OutputError
from spikeport.models.data.events import Binning, bin_events

SPIKES = np.random.default_rng(0).integers(0, 2, (3, 5, 4), dtype=np.uint8)
EVENT = np.dtype([("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "<u4")])
EVENTS = np.array([(0, 0, 0, 0), (1, 2, 1, 999), (1, 2, 1, 999), (3, 0, 0, 2000), (0, 1, 1, 4000)], dtype=EVENT)
OFFSETS = np.array([0, 3, 5])


def saved(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def test_input_is_found_by_name_or_else_comes_first(tmp_path):
    other = np.zeros((2, 3, 4))
    assert np.array_equal(load_data(saved(tmp_path, other=other, input=SPIKES)).input, SPIKES)
    assert np.array_equal(load_data(saved(tmp_path, labels=np.arange(3), spikes=SPIKES, other=other)).input, SPIKES)


@pytest.mark.parametrize("name", ["label", "labels"])
def test_labels_are_found(tmp_path, name):
    assert load_data(saved(tmp_path, input=SPIKES, **{name: np.array([2, 0, 1])})).labels.tolist() == [2, 0, 1]


def test_one_label_makes_one_sample(tmp_path):
    data = load_data(saved(tmp_path, input=SPIKES[0], label=np.int64(7)))
    assert data.input.shape == (1, 5, 4)
    assert data.labels.tolist() == [7]


def test_npy_and_fortran_order_are_read(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(SPIKES))
    data = load_data(tmp_path / "a.npy")
    assert np.array_equal(data.input, SPIKES)
    assert data.hash == data_hash(SPIKES)


def test_hash_depends_on_type_shape_and_values():
    variants = [SPIKES, SPIKES.astype(np.int8), SPIKES.reshape(3, 4, 5), 1 - SPIKES]
    assert len({data_hash(v) for v in variants}) == 4


def test_first_samples_have_their_own_hash(tmp_path):
    data = load_data(saved(tmp_path, input=SPIKES, label=np.arange(3))).first(2)
    assert data.labels.tolist() == [0, 1]
    assert data.hash == data_hash(SPIKES[:2])


def test_split_chooses_arrays(tmp_path):
    path = saved(tmp_path, train=SPIKES, train_y=np.arange(3), test=SPIKES[:2], test_y=np.array([5, 6]))
    data = load_data(path, split="test")
    assert np.array_equal(data.input, SPIKES[:2])
    assert data.labels.tolist() == [5, 6]


def test_events_are_binned_to_ones_or_counts(tmp_path):
    path = saved(tmp_path, test_events=EVENTS, test_offsets=OFFSETS, test_labels=np.array([1, 2]))
    ones = load_data(path, "test", Binning(steps=5, sensor=(2, 3, 4)))
    counts = load_data(path, "test", Binning(steps=5, sensor=(2, 3, 4), counts=True))
    assert ones.input.shape == (2, 5, 2, 3, 4)
    assert sorted(zip(*np.nonzero(ones.input), strict=True)) == [
        (0, 0, 0, 0, 0),
        (0, 0, 1, 2, 1),
        (1, 2, 0, 0, 3),
        (1, 4, 1, 1, 0),
    ]
    assert counts.input[0, 0, 1, 2, 1] == 2
    assert counts.input.sum() == len(EVENTS)


def test_events_after_the_last_step_are_counted_in_a_finding(tmp_path):
    data = load_data(saved(tmp_path, events=EVENTS, offsets=OFFSETS), None, Binning(steps=2, sensor=(2, 3, 4)))
    assert data.findings[0].message.startswith("2 of 5 events come after the last of 2 steps")


def test_event_on_the_edge_of_two_bins_falls_into_the_later_one():
    times = np.arange(0, 30_000, 300)
    events = np.array([(0, 0, 0, t) for t in times], dtype=EVENT)
    dense, _ = bin_events(events, np.array([0, len(events)]), Binning(bin=3e-4, sensor=(1, 1, 1), counts=True))
    assert dense.ravel().tolist() == [1] * 100


def test_nmnist_has_a_hundred_test_recordings(shared_data):
    data = load_data(shared_data / "nmnist" / "nmnist.npz", "test", Binning(steps=300, sensor=(2, 34, 34)))
    assert data.input.shape == (100, 300, 2, 34, 34)
    assert np.unique(data.labels).tolist() == list(range(10))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"input": np.array([{}], dtype=object)}, "holds Python objects"),
        ({"input": np.zeros((0, 5, 4))}, "at least one sample"),
        ({"input": np.zeros(4)}, "at least one sample"),
        ({"input": np.full((1, 2, 3), np.inf)}, "6 values that are NaN or infinite"),
        ({"input": np.array([["a"]])}, "takes numbers"),
        ({"input": SPIKES, "label": np.arange(2)}, "2 labels for 3 samples"),
        ({"input": SPIKES, "label": np.zeros(3)}, "whole numbers, not float64"),
        ({"input": SPIKES, "label": np.array([0, 1, -1])}, r"must lie in 0 \.\."),
        ({"label": np.arange(3)}, "has no input array"),
        ({"a_events": EVENTS, "a_offsets": OFFSETS}, "choose a split of a"),
        ({"events": EVENTS}, "no offsets"),
        ({"events": EVENTS, "offsets": np.array([0, 9])}, "must rise from 0 to the number of events"),
        ({"events": EVENTS, "offsets": np.array([0, 4, 3, 5])}, "must rise"),
        ({"events": EVENTS[:0], "offsets": OFFSETS}, "empty"),
        ({"events": SPIKES, "offsets": OFFSETS}, "fields x, y, p, t"),
    ],
)
def test_files_that_make_no_sense_are_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load_data(saved(tmp_path, **arrays), None, Binning(sensor=(2, 3, 4)))


@pytest.mark.parametrize(
    ("binning", "message"),
    [
        (Binning(), "size of the sensor"),
        (Binning(sensor=(2, 2, 4)), "the sensor has 2"),
        (Binning(sensor=(2, 3, 4), bin=1e-12), "more than"),
        (Binning(sensor=(2, 3, 4), steps=3, time_unit=1e-6, bin=1e-3), None),
    ],
)
def test_events_must_fit_sensor_and_memory(tmp_path, binning, message):
    path = saved(tmp_path, events=EVENTS, offsets=OFFSETS)
    if message is None:
        assert load_data(path, None, binning).input.shape == (2, 3, 2, 3, 4)
        return
    with pytest.raises(DataError, match=message):
        load_data(path, None, binning)


def npy_header(shape, descr="<f8"):
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize("shape", [(2**40,), (2**62, 2**62), (-1, 4), (10,)])
def test_declared_sizes_are_checked_before_memory_is_asked_for(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy_header(shape) + b"\0" * 16)
    with pytest.raises(DataError, match="damaged"):
        load_data(tmp_path / "a.npy")


def test_sizes_inside_an_archive_are_checked_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("input.npy", npy_header((2**40, 1)) + b"\0" * 16)
    with pytest.raises(DataError, match="declares shape"):
        load_data(tmp_path / "a.npz")


def test_archive_with_a_damaged_member_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, input=SPIKES)
    content = bytearray(buffer.getvalue())
    content[160] ^= 1
    (tmp_path / "a.npz").write_bytes(bytes(content))
    with pytest.raises(DataError, match="may be damaged"):
        load_data(tmp_path / "a.npz")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(TypeError, match="bytes-like"), atomic_write(target) as file:
        file.write(["no bytes"])
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.bin"]


def test_a_finished_write_takes_the_place_of_the_old_file(tmp_path):
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with atomic_write(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["out.bin"]


def test_unwritable_targets_are_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for target, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "x", "no folder"),
        (tmp_path / "no" / "x", "no folder"),
    ):
        with pytest.raises(OutputError, match=reason), atomic_write(target):
            pass
