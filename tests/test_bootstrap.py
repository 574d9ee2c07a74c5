"""make's set-up: quick when nothing changed, never half done, never at the cost of somebody else's environment."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "bootstrap.py"


class FakePip:
    """Records what would be installed; fails, or is interrupted, where it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.status = 0
        self.interrupt = False

    def __call__(self, *what: str, quiet: bool = False) -> int:
        self.calls.append(what)
        if self.interrupt:
            raise KeyboardInterrupt
        return self.status


@pytest.fixture
def pip() -> FakePip:
    return FakePip()


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip: FakePip) -> ModuleType:
    """bootstrap.py over an empty project folder, with pip and venv replaced."""
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("first")
    for name, path in {"ROOT": "", "VENV": ".venv", "STAMP": ".venv/stamp.json", "OWNER": ".venv/owner"}.items():
        monkeypatch.setattr(module, name, tmp_path / path)
    monkeypatch.setattr(module, "pip", pip)
    monkeypatch.setattr(module, "make_venv", lambda: None)
    return module


def test_torch_is_installed_before_the_project(setup: ModuleType, pip: FakePip) -> None:
    setup.prepare("demo")
    assert pip.calls[:2] == [("torch==2.13.0",), ("-e", ".[lava]")]


def test_lava_is_installed_last_against_its_own_metadata(setup: ModuleType, pip: FakePip) -> None:
    setup.prepare("test")
    assert pip.calls[-1] == ("--no-deps", "--ignore-requires-python", "lava-nc==0.10.0")


def test_second_run_installs_nothing(setup: ModuleType, pip: FakePip) -> None:
    setup.prepare("test")
    pip.calls.clear()
    setup.prepare("test")
    setup.prepare("demo")
    assert pip.calls == []


def test_environment_of_the_demo_is_not_enough_for_the_tests(setup: ModuleType, pip: FakePip) -> None:
    setup.prepare("demo")
    setup.prepare("test")
    assert pip.calls[-2] == ("-e", ".[dev,lava]")


def test_changed_requirements_are_installed_on_top(setup: ModuleType, pip: FakePip, tmp_path: Path) -> None:
    setup.prepare("demo")
    (tmp_path / ".venv" / "kept").touch()
    (tmp_path / "pyproject.toml").write_text("second")
    setup.prepare("demo")
    assert len(pip.calls) == 6
    assert (tmp_path / ".venv" / "kept").exists()


def test_interrupted_installation_starts_again_from_nothing(setup: ModuleType, pip: FakePip, tmp_path: Path) -> None:
    pip.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        setup.prepare("demo")
    (tmp_path / ".venv" / "half").touch()
    pip.interrupt = False
    setup.prepare("demo")
    assert not (tmp_path / ".venv" / "half").exists()
    assert setup.read_stamp()["goal"] == "demo"


def test_failed_installation_leaves_no_stamp(setup: ModuleType, pip: FakePip) -> None:
    pip.status = 1
    with pytest.raises(RuntimeError, match="pip could not install spikeport"):
        setup.prepare("demo")
    assert setup.read_stamp() == {}


def test_environment_of_somebody_else_is_refused_and_kept(setup: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "theirs").touch()
    with pytest.raises(RuntimeError, match=r"was not made by `make`\. Move it away"):
        setup.prepare("demo")
    assert (tmp_path / ".venv" / "theirs").exists()


def test_moved_project_gets_a_new_environment(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.prepare("demo")
    (tmp_path / ".venv" / "old").touch()
    monkeypatch.setattr(setup, "made_for", lambda: ["another Python", str(tmp_path)])
    setup.prepare("demo")
    assert not (tmp_path / ".venv" / "old").exists()


def test_old_python_without_a_newer_one_is_told_what_to_do(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "OLDEST", (4, 0))
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "demo"])
    assert setup.main() == 1
    message = capsys.readouterr().err
    assert "spikeport needs 4.0 or newer" in message
    assert "make demo PYTHON=/path/to/python3.11" in message


def test_unknown_goal_is_a_usage_error() -> None:
    run = subprocess.run([sys.executable, str(SCRIPT), "deploy"], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr == "usage: python bootstrap.py demo | test\n"
