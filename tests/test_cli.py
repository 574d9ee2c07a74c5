import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeport import hw_profiles
from spikeport.converters.findings import Finding
from spikeport.deploy.cli.main import main
from spikeport.deploy.cli.output import grouped
from spikeport.deploy.deployment_file import load

DIALECT = "snntorch:reset=zero,reset_delay=0,dt=1e-3"


def write_nir(path):
    """Eight inputs, one dense layer, three leaky neurons, in NIR's HDF5 form."""
    rng = np.random.default_rng(1)
    ones = np.ones(3, dtype=np.float32)
    nodes = {
        "in": {"type": "Input", "shape": np.array([8])},
        "fc": {"type": "Linear", "weight": rng.normal(0.2, 0.5, (3, 8)).astype(np.float32)},
        "lif": {
            "type": "LIF",
            "tau": 0.01 * ones,
            "r": 10 * ones,
            "v_leak": 0 * ones,
            "v_threshold": ones,
            "v_reset": 0 * ones,
        },
        "out": {"type": "Output", "shape": np.array([3])},
    }
    edges = [("in", "fc"), ("fc", "lif"), ("lif", "out")]
    with h5py.File(path, "w") as file:
        file["version"] = "1.0"
        file["node/type"] = "NIRGraph"
        for name, fields in nodes.items():
            for key, value in fields.items():
                file[f"node/nodes/{name}/{key}"] = value
        file["node/edges"] = np.array(edges, dtype=h5py.string_dtype())
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a small model and data, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    write_nir(tmp_path / "model.nir")
    rng = np.random.default_rng(0)
    spikes = rng.integers(0, 2, (6, 20, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", input=spikes, label=rng.integers(0, 3, 6))
    return tmp_path


@pytest.fixture
def compiled(folder):
    assert spikeport("compile model.nir --target loihi1 --data data.npz -o model.spk --dialect", DIALECT) == 0
    return folder


def spikeport(line, *more):
    return main([*line.split(), *more])


def read_json(capsys):
    """What a command printed; only JSON may be on stdout."""
    return json.loads(capsys.readouterr().out)


def test_inspect_shows_decays_and_resets(folder, capsys):
    assert spikeport("inspect model.nir --json - --dialect", DIALECT) == 0
    record = read_json(capsys)
    neuron = next(layer for layer in record["layers"] if layer["layer"] == "lif")["details"]
    assert neuron["membrane_decay"] == pytest.approx(0.9)
    assert (neuron["reset"], neuron["reset_delay"], neuron["v_reset"]) == ("value", 0, 0.0)
    assert record["parameters"] == 24


def test_inspect_prints_tables_to_stdout_and_findings_to_stderr(folder, capsys):
    assert spikeport("inspect model.nir --dt 1e-3") == 0
    said = capsys.readouterr()
    assert "neurons, in discrete time" in said.out
    assert "note: read as" in said.err
    assert "note: read as" not in said.out


def test_compile_writes_a_deployment_and_says_what_it_took(folder, capsys):
    assert spikeport("compile model.nir --target loihi2 --data data.npz -o m.spk --json - --dialect", DIALECT) == 0
    record = read_json(capsys)
    assert record["profile"] == load(folder / "m.spk").profile.name == "loihi2"
    assert record["cores"] == 1
    assert record["provenance"]["calibration_hash"]


def test_compile_twice_gives_the_same_bytes(compiled):
    assert spikeport("compile model.nir --target loihi1 --data data.npz -o again.spk --dialect", DIALECT) == 0
    assert (compiled / "again.spk").read_bytes() == (compiled / "model.spk").read_bytes()


def test_inspect_shows_a_deployment(compiled, capsys):
    capsys.readouterr()
    assert spikeport("inspect model.spk --json -") == 0
    record = read_json(capsys)
    assert [p["layer"] for p in record["populations"]] == ["in", "lif"]
    assert record["core_usage"][0]["usage"]["neurons"]["used"] == 3


def test_run_on_the_chip_reports_accuracy_and_saves_arrays(compiled, capsys):
    capsys.readouterr()
    assert spikeport("run model.spk --data data.npz --record all --save out.npz --json out.json") == 0
    assert "accuracy" in capsys.readouterr().out
    record, arrays = json.loads((compiled / "out.json").read_text()), np.load(compiled / "out.npz")
    assert arrays["output"].shape == (6, 20, 3)
    assert arrays["spikes/lif"].sum() == arrays["output"].sum()
    assert np.array_equal(arrays["prediction"], arrays["output"].sum(1).argmax(1))
    assert record["accuracy"] == np.mean(arrays["prediction"] == arrays["label"])
    assert record["samples"] == 6


def test_every_engine_gives_the_same_result_and_says_who_computed_what(compiled, capsys):
    shown = []
    for engine in ("auto", "events", "dense", "reference"):
        assert spikeport(f"run model.spk --data data.npz --backend {engine} --json -") == 0
        shown.append(read_json(capsys))
    for record in shown:
        assert record["layers"] == shown[0]["layers"]
        assert record["synops"] == shown[0]["synops"]
    assert [{choice["engine"] for choice in record["engines"].values()} for record in shown[1:]] == [
        {"events"},
        {"dense"},
        set(),
    ]
    assert spikeport("run model.spk --data data.npz") == 0
    assert "of its sources spike per step" in capsys.readouterr().out


def test_a_deployment_runs_without_torch(compiled):
    code = (
        "import sys; from spikeport.deploy.cli.main import main;"
        "code = main(['run', 'model.spk', '--data', 'data.npz']); sys.exit(code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_memory_is_bounded_by_an_option(compiled, capsys):
    assert spikeport("run model.spk --data data.npz --memory 20MiB --json -") == 0
    assert read_json(capsys)["memory_bytes"] <= 20 << 20
    assert spikeport("run model.spk --data data.npz --memory 100KiB") == 2
    assert "one sample needs at least" in capsys.readouterr().err
    assert spikeport("run model.spk --data data.npz --memory lots") == 2
    assert "write for example 2GiB" in capsys.readouterr().err


def test_run_of_the_trained_network_agrees_with_the_chip(compiled):
    assert (
        spikeport("run model.nir --backend float --data data.npz --record lif --save float.npz --dialect", DIALECT) == 0
    )
    assert spikeport("run model.spk --data data.npz --save chip.npz") == 0
    trained, chip = np.load(compiled / "float.npz"), np.load(compiled / "chip.npz")
    assert np.array_equal(trained["spikes/lif"], trained["output"])
    assert (trained["output"] != chip["output"]).mean() < 0.02


def test_static_data_run_under_an_encoder(folder, capsys):
    np.savez(folder / "static.npz", input=np.random.default_rng(0).random((4, 8)))
    codes = "--encode current:steps=12 --decode first-spike"
    assert spikeport(f"run model.nir --backend float --data static.npz {codes} --json - --dialect", DIALECT) == 0
    record = read_json(capsys)
    assert record["input_steps"] == 12
    assert record["codec"]["decoder"]["kind"] == "first-spike"
    assert record["accuracy"] is None


def test_samples_limits_the_run(compiled, capsys):
    capsys.readouterr()
    assert spikeport("run model.spk --data data.npz --samples 2 --json -") == 0
    assert len(read_json(capsys)["predictions"]) == 2


def test_estimate_puts_price_lists_side_by_side(compiled, capsys):
    capsys.readouterr()
    lists = "--profile loihi1 --profile loihi1-sanafe --profile loihi2"
    assert spikeport(f"estimate model.spk --data data.npz {lists} --rate 10 --json -") == 0
    estimates = read_json(capsys)["estimates"]
    assert [e["profile"] for e in estimates] == ["loihi1", "loihi1-sanafe", "loihi2"]
    assert estimates[0]["energy_j"] > 0
    assert estimates[2]["energy_j"] is None
    assert estimates[2]["missing"]


def test_unknown_prices_are_called_unknown_in_the_table(compiled, capsys):
    assert spikeport("estimate model.spk --data data.npz --profile loihi2") == 0
    assert "unknown" in capsys.readouterr().out


def test_assumed_prices_show_in_the_name(compiled, capsys):
    capsys.readouterr()
    assert spikeport("estimate model.spk --data data.npz --profile loihi2 --assume-prices loihi1 --json -") == 0
    estimate = read_json(capsys)["estimates"][0]
    assert estimate["profile"] == "loihi2-at-loihi1-prices"
    assert estimate["evidence"] == "assumed"


def test_profiles_are_listed_and_shown_with_sources(capsys):
    assert spikeport("profiles --json -") == 0
    assert [p["name"] for p in read_json(capsys)["profiles"]] == ["loihi1", "loihi1-sanafe", "loihi2"]
    assert spikeport("profiles show loihi1 --json -") == 0
    entries = {e["entry"]: e for e in read_json(capsys)["entries"]}
    assert entries["prices.synaptic_op_dense_energy_pj"]["value"] == 23.6
    assert all(e["source"] and e["evidence"] for e in entries.values())


@pytest.mark.parametrize("command", ["", "inspect", "compile", "run", "estimate", "profiles", "profiles show", "demo"])
def test_every_command_explains_itself(command, capsys):
    assert spikeport(f"{command} --help") == 0
    said = capsys.readouterr().out
    assert "--help" in said
    assert ("--json" in said) == (command != "")


def test_an_unexpected_fault_asks_for_a_report_without_a_traceback(folder, monkeypatch, capsys):
    monkeypatch.setattr("spikeport.converters.read.nir.read_nir", lambda *_: 1 / 0)
    assert spikeport("inspect model.nir") == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "Please report" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (MemoryError, 2)])
def test_interruption_and_lack_of_memory_have_their_codes(folder, monkeypatch, error, code):
    def fail(*_):
        raise error

    monkeypatch.setattr("spikeport.converters.read.nir.read_nir", fail)
    assert spikeport("inspect model.nir") == code


def test_a_network_too_large_for_the_chip_ends_with_code_3(folder, capsys):
    profile = (Path(hw_profiles.__file__).parent / "loihi1.toml").read_text()
    for limit in ("neurons_per_core", "\ncores", "\nchips"):
        profile = re.sub(rf"{limit} = {{ value = \d+", f"{limit} = {{ value = 1", profile)
    (folder / "small.toml").write_text(profile)
    assert spikeport("compile model.nir --target small.toml --data data.npz -o m.spk --dialect", DIALECT) == 3
    assert not (folder / "m.spk").exists()
    assert "error:" in capsys.readouterr().err


def test_help_loads_neither_torch_nor_numpy():
    code = (
        "import sys; from spikeport.deploy.cli.main import main; main(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'scipy', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "line",
    [
        "compile model.nir --target loihi1 --data data.npz -o model.nir --dialect " + DIALECT,
        "compile model.nir --target loihi1 --data data.npz -o data.npz --dialect " + DIALECT,
        "run model.spk --data data.npz --save data.npz",
        "run model.spk --data data.npz --json model.spk",
        "run model.spk --data data.npz --save out.x --json out.x",
        "inspect model.nir --json model.nir --dialect " + DIALECT,
        "estimate model.spk --data data.npz --json ./data.npz",
    ],
)
def test_no_output_takes_the_place_of_an_input(compiled, line, capsys):
    before = {path.name: path.read_bytes() for path in compiled.iterdir()}
    assert spikeport(line) == 2
    assert "choose another name" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in compiled.iterdir()} == before


def test_a_budget_that_is_exceeded_ends_with_code_4_and_the_figures(compiled, capsys):
    assert spikeport("estimate model.spk --data data.npz --max-energy 1 --max-latency 1 --max-power 100") == 0
    assert spikeport("estimate model.spk --data data.npz --max-energy 1e-9 --max-latency 1") == 4
    assert re.search(r"loihi1: energy .* J is over the budget of 1e-09 J", capsys.readouterr().err)


def test_an_unknown_figure_keeps_no_budget(compiled, capsys):
    assert spikeport("estimate model.spk --data data.npz --profile loihi2 --max-energy 1") == 4
    assert "energy is unknown" in capsys.readouterr().err


def test_labels_that_name_no_output_are_refused(compiled, capsys):
    np.savez("odd.npz", input=np.zeros((2, 5, 8), np.uint8), label=[0, 99])
    for model in ("model.spk", f"model.nir --backend float --dialect {DIALECT}"):
        assert spikeport(f"run {model} --data odd.npz") == 2
        assert "labels run 0 .. 99, the network has the outputs 0 .. 2" in capsys.readouterr().err


def test_samples_of_one_class_only_are_warned_about(compiled, capsys):
    for size, warned in ((19, False), (20, True)):
        np.savez("sorted.npz", input=np.zeros((size, 5, 8), np.uint8), label=np.ones(size, int))
        assert spikeport("run model.spk --data sorted.npz") == 0
        assert (f"all {size} samples have the label 1" in " ".join(capsys.readouterr().err.split())) is warned


def test_several_spikes_in_a_step_are_counted_as_spikes_and_sent_as_one_message(folder, capsys):
    dialect = "rockpool:dt=1e-3"
    run = f"run model.nir --backend float --dialect {dialect} --data data.npz --record lif --save out.npz --json -"
    assert spikeport(run) == 0
    (layer,) = (r for r in read_json(capsys)["layers"] if r["layer"] == "lif")
    train = np.load("out.npz")["spikes/lif"]
    assert train.max() > 1
    assert layer["spikes_per_sample"] * 6 == train.sum()
    assert layer["messages_per_sample"] * 6 == (train > 0).sum()


def test_the_reset_warning_stays_until_both_keys_are_named(folder, capsys):
    warned = {}
    for dialect in ("snntorch:dt=1e-3", "snntorch:dt=1e-3,reset=zero", DIALECT):
        assert spikeport("inspect model.nir --dialect", dialect) == 0
        warned[dialect] = "does not carry the reset rule" in capsys.readouterr().err
    assert list(warned.values()) == [True, True, False]


def test_interruption_is_one_word(folder, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("spikeport.deploy.cli.sources.read_model", interrupt)
    assert spikeport("inspect model.nir") == 130
    assert capsys.readouterr().err == "interrupted\n"


def said_by(capsys, line, *more):
    """The exit code of a command and what it printed on stderr, on one line."""
    capsys.readouterr()
    code = spikeport(line, *more)
    return code, " ".join(capsys.readouterr().err.split())


def test_output_files_bear_their_own_suffix(compiled, capsys):
    line = f"compile model.nir --target loihi1 --data data.npz -o model.bin --dialect {DIALECT}"
    assert said_by(capsys, line) == (
        2,
        "error: --output model.bin: choose another name, this file ends in .spk: model.spk",
    )
    code, said = said_by(capsys, "run model.spk --data data.npz --save out")
    assert code == 2
    assert "ends in .npz: out.npz" in said
    assert not (compiled / "model.bin").exists()


def test_a_price_list_that_is_a_file_is_an_input_too(compiled, capsys):
    profile = (Path(hw_profiles.__file__).parent / "loihi1.toml").read_text()
    (compiled / "mine.toml").write_text(profile)
    code, said = said_by(capsys, "estimate model.spk --data data.npz --profile mine.toml --json mine.toml")
    assert code == 2
    assert "own inputs" in said
    assert (compiled / "mine.toml").read_text() == profile


@pytest.mark.parametrize("option", ["rate", "max-energy", "max-latency", "max-power"])
@pytest.mark.parametrize("value", ["0", "nan", "inf"])
def test_budgets_and_rates_are_positive_numbers(compiled, capsys, option, value):
    code, said = said_by(capsys, f"estimate model.spk --data data.npz --{option} {value}")
    assert code == 2
    assert f"--{option} {value} must be above 0" in said


def test_unknown_prices_come_with_the_option_that_fills_them(compiled, capsys):
    code, said = said_by(capsys, "estimate model.spk --data data.npz --profile loihi2")
    assert code == 0
    assert "note: loihi2 has no price for some of what happened. --assume-prices loihi1" in said
    assert "--assume-prices" not in said_by(capsys, "estimate model.spk --data data.npz")[1]


def test_prices_lent_in_vain_are_said_and_change_no_name(compiled, capsys):
    code, said = said_by(capsys, "estimate model.spk --data data.npz --assume-prices loihi1 --json out.json")
    assert code == 0
    assert "--assume-prices loihi1 changes nothing: loihi1 has a price for all that happened." in said
    assert json.loads(Path("out.json").read_text())["estimates"][0]["profile"] == "loihi1"


def test_a_rate_beyond_the_maximum_is_said_beside_the_power(compiled, capsys):
    assert spikeport("estimate model.spk --data data.npz --rate 1e9") == 0
    (line,) = (row for row in capsys.readouterr().out.splitlines() if "power at 1e+09 Hz" in row)
    assert re.search(r"W \(but at most [\d.]+ kHz\)", line)


def test_a_dialect_for_a_deployment_is_refused_by_inspect_too(compiled, capsys):
    code, said = said_by(capsys, "inspect model.spk --dialect snntorch")
    assert code == 2
    assert "a deployment has its own" in said


def test_files_that_are_no_models_are_called_what_they_are(folder, capsys):
    np.save("a.npy", np.zeros((2, 3)))
    for name, what in (
        ("data.npz", "archive of arrays (.npz) that holds input, label: data for --data"),
        ("a.npy", "array file (.npy): data for --data"),
    ):
        code, said = said_by(capsys, f"inspect {name}")
        assert code == 2
        assert what in said


@pytest.mark.parametrize("model", ["model.spk", f"model.nir --backend float --dialect {DIALECT}"])
def test_a_lost_batch_axis_is_told_with_the_shape_in_the_file(compiled, capsys, model):
    np.savez("odd.npz", input=np.zeros((100, 8), np.uint8))
    code, said = said_by(capsys, f"run {model} --data odd.npz --samples 3")
    assert code == 2
    assert "shape (100, 8): no time axis" in said
    assert "its batch axis is missing: save array[None], shape (1, 100, 8)" in said


def test_no_steps_for_static_data_is_told_as_such(folder, capsys):
    np.savez("static.npz", input=np.zeros((100, 8)))
    run = f"run model.nir --backend float --data static.npz --encode current:steps=0 --dialect {DIALECT}"
    code, said = said_by(capsys, run)
    assert code == 2
    assert "(100, 8): no time axis, and steps=0 leaves it to the data" in said


def test_a_range_far_above_the_data_is_a_warning_said_once(folder, capsys):
    np.savez("dark.npz", input=np.random.default_rng(0).random((70, 8)))
    run = f"run model.nir --backend float --data dark.npz --dialect {DIALECT} --encode current:steps=5,low=0,high="
    assert "the encoder's range" not in said_by(capsys, run + "1")[1]
    said = said_by(capsys, run + "255")[1]
    assert said.count("of the encoder's range 0 .. 255") == 1
    assert "warning: the first 64 sample(s) reach from" in said


def test_equal_findings_about_several_layers_are_one_line():
    several = [Finding("c", "warning", where, "v is small.", "Do this.") for where in ("a", "b", "a")]
    (line,) = grouped([*several[:2], several[2]])
    assert str(line) == "a, b: v is small. Do this."


def test_cores_are_told_of_layers_that_take_several(compiled, capsys):
    compiling = f"compile model.nir --data data.npz --dialect {DIALECT} -o out.spk --json out.json --target"
    assert "cores-needed" not in (said := said_by(capsys, f"{compiling} loihi1")[1])
    assert "lif needs" not in said
    assert any(f["code"] == "cores-needed" for f in json.loads(Path("out.json").read_text())["findings"])
    profile = (Path(hw_profiles.__file__).parent / "loihi1.toml").read_text()
    Path("small.toml").write_text(
        re.sub(r"neurons_per_core = { value = \d+", "neurons_per_core = { value = 2", profile)
    )
    assert "note: layer lif needs 2 cores" in said_by(capsys, f"{compiling} small.toml")[1]


def test_a_list_without_any_price_says_so_instead_of_naming_every_key(compiled, capsys):
    assert spikeport("estimate model.spk --data data.npz --profile loihi2") == 0
    shown = capsys.readouterr().out
    assert re.search(r"no price for +anything that happened \(JSON names the \d+ keys\)", shown)
    assert "_energy_pj" not in shown
