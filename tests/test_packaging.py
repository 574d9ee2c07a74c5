"""What an installation contains: exactly what git tracks, under one name."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("deploy", "models", "converters", "hw_profiles")


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout, to know which files belong to the project")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [name for name in listed.stdout.decode().split("\0") if name]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_exactly_the_tracked_files_of_the_package(wheel: Path) -> None:
    rooms = {f"spikeport/{name}" for name in tracked() if name.startswith(tuple(f"{room}/" for room in ROOMS))}
    top = {name.removeprefix("src/") for name in tracked() if name.startswith("src/") and "." in Path(name).name}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == rooms | top


def test_wheel_installs_no_top_level_name_but_spikeport(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"spikeport"}


def test_wheel_carries_the_licence_and_the_command(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert b"spikeport = spikeport.deploy.cli.main:run" in archive.read(entry_points)
    (licence,) = (name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
    assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_installed_wheel_finds_the_network_that_ships_with_it(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + (
        "from spikeport.models import digits; print(digits.network_path(), digits.network_path().is_file())"
    )
    command = [sys.executable, "-I", "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.split() == [str(tmp_path / "spikeport" / "models" / "digits" / "digits.nir"), "True"]


def test_rooms_are_links_to_the_folders_at_the_top() -> None:
    links = {room: (ROOT / "src" / "spikeport" / room).resolve() for room in ROOMS}
    assert links == {room: ROOT / room for room in ROOMS}


def contracts(extra: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on a copy of the package with ``extra`` added to its lowest room."""
    package = tmp_path / "spikeport"
    for name in tracked():
        if name.endswith(".py") and name.startswith((*ROOMS, "src/spikeport/")):
            copy = package / name.removeprefix("src/spikeport/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    with (package / "hw_profiles" / "__init__.py").open("a") as lowest:
        lowest.write(extra)
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + (
        "from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    command = [sys.executable, "-I", "-c", script, "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)


def test_imports_go_one_way(tmp_path: Path) -> None:
    result = contracts("", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_import_against_the_layers_is_caught(tmp_path: Path) -> None:
    result = contracts("\nimport spikeport.deploy\n", tmp_path)
    assert result.returncode != 0
    assert "hw_profiles is not allowed to import spikeport.deploy" in result.stdout
