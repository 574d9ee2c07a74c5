import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from event_recordings import aedat3, atis

from spikeport.errors import BackendError, DataError
from spikeport.models.data.event_files import read_aedat2, read_aedat3, read_aedat4, read_atis
from spikeport.models.data.event_sets import CIFAR10, cifar10_dvs, class_folders, dvs_gesture, every_tenth, shd
from spikeport.models.data.recognise import event_frames
from spikeport.models.data.recordings import Framing, Recordings
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.data.sets import find, japanese_vowels
from spikeport.models.data.speech import spoken_digits

FIELDS = np.dtype([("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "<u4")])


def plain(events: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(int(e[key]) for key in "xypt") for e in events]


def test_nmnist_file_is_read_with_its_clock_overflows(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(atis((1, 2, 1, 70_000), (0, 240, 0, 0), (33, 3, 0, 5)))
    assert plain(read_atis(path)) == [(1, 2, 1, 70_000), (33, 3, 0, 5 + 8192)]


def test_dvs128_file_of_version_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    words = struct.pack(">IIII", 100 << 8 | 27 << 1 | 1, 50, 5 << 8 | 127 << 1, 60)
    path.write_bytes(b"#!AER-DAT2.0\r\n# made by a test\r\n" + words)
    assert plain(read_aedat2(path)) == [(100, 100, 0, 0), (0, 5, 1, 10)]


def test_dvs_gesture_file_skips_what_is_no_valid_polarity_event(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    packets = aedat3((1, 2, 0, 1, 10), (3, 4, 1, 0, 11)) + aedat3((9, 9, 1, 1, 12), kind=0) + aedat3((5, 6, 1, 1, 13))
    path.write_bytes(b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + packets)
    assert plain(read_aedat3(path)) == [(1, 2, 0, 10), (5, 6, 1, 13)]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.bin", b"1234567", "7 bytes, which are no whole events of 5"),
        ("a.aedat", b"#!AER-DAT3.1\n", "does not start with #!AER-DAT2"),
        ("a.aedat", b"#!AER-DAT2.0\n12345", "no whole events of 8"),
        ("a.aedat", b"#!AER-DAT2.0", "ends within its comment lines"),
        ("a.aedat4", b"what is this", r"pip install 'spikeport\[zoo\]'|cannot be read as .aedat4"),
        ("a.bin", b"", r"a\.bin has no events"),
    ],
)
def test_damaged_recording_is_named(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / name).write_bytes(content)
    with pytest.raises((DataError, BackendError), match=reason):
        list(class_folders(tmp_path, (2, 34, 34)))


@pytest.mark.parametrize("capacity", [3, 1 << 30])
def test_packet_larger_than_its_file_is_refused(tmp_path: Path, capacity: int) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(b"#!AER-DAT3.1\n" + aedat3((1, 2, 0, 1, 10), capacity=capacity))
    with pytest.raises(DataError, match=rf"declares {capacity} events of 8 bytes, more than follow"):
        read_aedat3(path)


def test_packets_without_events_are_skipped_and_odd_sizes_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(b"#!AER-DAT3.1\n" + aedat3() + aedat3((1, 2, 0, 1, 10)))
    assert plain(read_aedat3(path)) == [(1, 2, 0, 10)]
    odd = struct.pack("<hhiiiiii", 1, 0, 9, 4, 0, 1, 1, 1) + bytes(9)
    path.write_bytes(b"#!AER-DAT3.1\n" + odd)
    with pytest.raises(DataError, match="1 events of 9 bytes"):
        read_aedat3(path)


def test_what_is_no_event_of_a_pixel_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(b"#!AER-DAT2.0\n" + struct.pack(">IIII", 1 << 15, 40, 5 << 8 | 127 << 1, 60))
    assert plain(read_aedat2(path)) == [(0, 5, 1, 0)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("3,-5,4000", "line 2: a gesture from -5 to 4000 µs"),
        ("3,2000,99999999999", "line 2: a gesture from 2000 to 99999999999"),
        ("3,20000,40000", "line 2 has no events"),
        ("3,2000", "line 2 has no class, startTime_usec and endTime_usec"),
    ],
)
def test_bad_line_of_a_trial_is_named(tmp_path: Path, row: str, reason: str) -> None:
    (tmp_path / "u.aedat").write_bytes(b"#!AER-DAT3.1\n" + aedat3((1, 1, 1, 1, 3000)))
    (tmp_path / "u_labels.csv").write_text(f"\ufeffclass,startTime_usec,endTime_usec\n{row}\n")
    for part in ("train", "test"):
        (tmp_path / f"trials_to_{part}.txt").write_text("u.aedat\n")
    with pytest.raises(DataError, match=rf"u_labels\.csv, {reason}"):
        dvs_gesture(tmp_path, Framing(2, 2e-3))


def test_missing_aedat4_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    with pytest.raises((DataError, BackendError), match=r"no such file|pip install"):
        read_aedat4(tmp_path / "a.aedat4")


def test_nmnist_folder_becomes_frames(tmp_path: Path) -> None:
    for part in ("Train", "Test"):
        for digit in range(2):
            (tmp_path / part / str(digit)).mkdir(parents=True)
            content = atis((4 + digit, 6, 1, 10_000), (5, 7, 0, 290_000), (0, 0, 0, 299_999))
            (tmp_path / part / str(digit) / "00001.bin").write_bytes(content)
    parts = event_frames(tmp_path, steps=3).parts
    assert parts.train.frames.shape == (2, 3, 2, 17, 17)
    assert parts.test.labels.tolist() == [0, 1]
    assert [tuple(map(int, at)) for at in np.argwhere(parts.train.frames[1])] == [
        (0, 1, 3, 2),
        (2, 0, 0, 0),
        (2, 0, 3, 2),
    ]


def test_every_tenth_recording_of_a_class_is_for_test(tmp_path: Path) -> None:
    for name in ("airplane", "cat"):
        (tmp_path / name).mkdir()
        for index in range(10):
            content = b"#!AER-DAT2.0\n" + struct.pack(">II", index << 8, 50)
            (tmp_path / name / f"{index}.aedat").write_bytes(content)
    parts = every_tenth(tmp_path, (2, 128, 128), Framing(1, 1.0))
    assert (len(parts.train), parts.test.labels.tolist()) == (18, [0, 1])
    assert [int(np.argwhere(frame)[0][2]) for frame in parts.test.frames] == [9, 9]


def test_cifar10_dvs_stands_upright(tmp_path: Path) -> None:
    for name in CIFAR10:
        (tmp_path / name).mkdir()
        for index in range(10):
            address = 30 << 8 | 20 << 1
            (tmp_path / name / f"{index}.aedat").write_bytes(b"#!AER-DAT2.0\n" + struct.pack(">II", address, index))
    parts = cifar10_dvs(tmp_path, Framing(1, 1.0))
    assert (len(parts.train), parts.test.labels.tolist()) == (90, list(range(10)))
    # Column 20 from the right and row 30 as stored: 127 - 30 from the left, 127 - 20 from the top.
    assert {tuple(map(int, at[1:])) for at in np.argwhere(parts.train.frames[:, 0])} == {(1, 107, 97)}


def test_gestures_are_cut_out_of_their_trials(tmp_path: Path) -> None:
    for user, part in ((1, "train"), (24, "test")):
        name = f"user{user:02}_led"
        events = [(x, 1, 1, 1, 1000 * x) for x in range(1, 10)]
        (tmp_path / f"{name}.aedat").write_bytes(b"#!AER-DAT3.1\n" + aedat3(*events))
        (tmp_path / f"{name}_labels.csv").write_text("class,startTime_usec,endTime_usec\n3,2000,4000\n11,8000,9001\n")
        (tmp_path / f"trials_to_{part}.txt").write_text(f"{name}.aedat\n")
    parts = dvs_gesture(tmp_path, Framing(2, 2e-3))
    assert parts.train.labels.tolist() == [2, 10]
    assert [tuple(map(int, at)) for at in np.argwhere(parts.test.frames[0])] == [(0, 1, 1, 2), (1, 1, 1, 3)]


def test_spoken_digits_are_a_sensor_of_one_row(tmp_path: Path) -> None:
    for part in ("train", "test"):
        with h5py.File(tmp_path / f"shd_{part}.h5", "w") as file:
            times = file.create_dataset("spikes/times", (2,), dtype=h5py.vlen_dtype(np.float16))
            units = file.create_dataset("spikes/units", (2,), dtype=h5py.vlen_dtype(np.uint16))
            times[0], units[0] = [0.25, 0.75], [0, 699]
            times[1], units[1] = [0.5], [7]
            file["labels"] = np.array([19, 4])
    parts = shd(tmp_path, Framing(2, 1.0, pool=(1, 5)))
    assert parts.train.frames.shape == (2, 2, 1, 1, 140)
    assert parts.train.labels.tolist() == [19, 4]
    assert [tuple(map(int, at)) for at in np.argwhere(parts.train.frames)] == [
        (0, 0, 0, 0, 0),
        (0, 1, 0, 0, 139),
        (1, 1, 0, 0, 1),
    ]


def recordings() -> Recordings:
    events = np.array([(0, 0, 1, 0), (1, 1, 1, 10), (3, 2, 0, 30), (0, 0, 1, 99), (2, 2, 0, 5)], FIELDS)
    return Recordings(events, np.array([0, 4, 5]), np.array([3, 1]), (2, 4, 4))


def test_counted_and_pooled_frames_keep_every_event_in_time() -> None:
    samples = recordings().frames(Framing(2, 40e-6, (2, 2), counts=True))
    assert samples.frames.shape == (2, 2, 2, 2, 2)
    assert samples.frames[0, 0, 1, 0, 0] == 2
    assert samples.frames.sum() == 4
    assert [f.message for f in samples.findings] == ["1 of 5 events come after 4e-05 s and were left out."]


def test_pool_that_does_not_divide_the_sensor_is_refused() -> None:
    with pytest.raises(DataError, match="pooling 3 x 1 pixels does not divide a sensor of 4 x 4"):
        recordings().frames(Framing(2, 40e-6, (3, 1)))


def test_mixed_parts_hold_the_same_samples() -> None:
    given = Parts(Samples(np.arange(8), np.arange(8)), Samples(np.arange(8, 10), np.arange(8, 10)))
    mixed = given.mixed(seed=1, test=4)
    assert (len(mixed.train), len(mixed.test)) == (6, 4)
    assert sorted([*mixed.train.labels, *mixed.test.labels]) == list(range(10))
    assert given.mixed(1, 4).test.labels.tolist() == mixed.test.labels.tolist()
    assert given.mixed(2, 4).test.labels.tolist() != mixed.test.labels.tolist()
    with pytest.raises(DataError, match="10 samples for test out of 10"):
        given.mixed(0, 10)


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder that holds nmnist\.npz"):
        find(tmp_path, "nmnist.npz")
    np.savez(tmp_path / "japanese_vowels.npz", other=np.zeros(3))
    with pytest.raises(DataError, match="has no array train; it holds other"):
        japanese_vowels(tmp_path)


def test_real_sets_come_with_their_splits(shared_data: Path) -> None:
    vowels = japanese_vowels(shared_data)
    assert (vowels.train.frames.shape, vowels.test.frames.shape) == ((270, 29, 12), (370, 29, 12))
    speech = spoken_digits(shared_data, steps=16, bands=20)
    assert (speech.train.frames.shape, len(speech.test)) == ((2700, 16, 20), 300)
    frames = event_frames(shared_data, 4).parts
    assert (len(frames.train), len(frames.test)) == (700, 100)
    assert set(np.unique(frames.test.frames)) == {0, 1}
