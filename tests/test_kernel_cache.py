"""Where compiled kernels are kept, and what is said about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikeport.deploy.backends.simulator.events import jit


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """The folder is looked for once a process; here once a test."""
    jit.cache_folder.cache_clear()
    yield
    jit.cache_folder.cache_clear()


def test_the_first_run_says_that_it_compiles_and_later_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "new"))
    folder = jit.cache_folder()
    assert "compiling the simulator's kernels for this machine, once" in caplog.text
    (folder / "deploy").mkdir()
    (folder / "deploy" / "kernel.nbi").touch()
    caplog.clear()
    jit.cache_folder.cache_clear()
    assert jit.cache_folder() == folder
    assert caplog.text == ""


def test_kernels_go_where_the_system_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPIKEPORT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jit.sys, "platform", "linux")
    assert jit.cache_folder().parent == tmp_path / "spikeport"


def test_a_folder_that_cannot_be_written_gives_way_to_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert jit.cache_folder().name.startswith("spikeport-")


def test_a_user_without_a_home_gets_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("SPIKEPORT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jit.numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(jit.Path, "home", nowhere)
    removed: list[Path] = []
    monkeypatch.setattr(jit.atexit, "register", lambda remove, folder, **options: removed.append(folder))
    folder = jit.cache_folder()
    assert folder.name.startswith("spikeport-")
    assert removed == [folder]
    folder.rmdir()


def test_a_change_of_one_kernel_leaves_the_folder_that_numba_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """numba would take a caller's old machine code, since the caller's own file has not changed."""
    monkeypatch.delenv("SPIKEPORT_CACHE", raising=False)
    monkeypatch.setattr(jit.numba.config, "CACHE_DIR", str(tmp_path))
    before = jit.cache_folder()
    assert before.parent == tmp_path
    monkeypatch.setattr(jit.arithmetic, "__file__", __file__)
    jit.cache_folder.cache_clear()
    assert jit.cache_folder() != before


def test_numba_of_the_user_keeps_its_own_folder() -> None:
    import numba

    before = numba.config.CACHE_DIR
    jit.kernel(lambda x: x)
    assert before == numba.config.CACHE_DIR
