"""The ``spikeport`` command: its parts, its errors and its exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from spikeport.deploy.cli.adapt import adapt
from spikeport.deploy.cli.compare import compare
from spikeport.deploy.cli.compile import compile_model
from spikeport.deploy.cli.convert import convert_model
from spikeport.deploy.cli.demo import demo
from spikeport.deploy.cli.doctor import doctor
from spikeport.deploy.cli.early_exit import early_exit
from spikeport.deploy.cli.estimate import estimate
from spikeport.deploy.cli.export_lava import export_lava
from spikeport.deploy.cli.export_nir import export_nir
from spikeport.deploy.cli.finetune import finetune_model
from spikeport.deploy.cli.inspect import inspect
from spikeport.deploy.cli.profiles import profiles
from spikeport.deploy.cli.run import run_model
from spikeport.deploy.cli.verify import verify
from spikeport.deploy.cli.zoo import zoo
from spikeport.errors import SpikeportError

EXIT_CODES = (
    "Exit codes: 0 fine · 1 a fault of spikeport · 2 bad input (file, data, option) · 3 does not fit the chip · "
    "4 over budget · 130 interrupted."
)

INTERRUPTED = 130

app = typer.Typer(
    name="spikeport",
    help="Compile trained spiking networks for Loihi-class chips, run them bit-exactly, and know the energy first.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo)
app.command("inspect")(inspect)
app.command("convert")(convert_model)
app.command("compile")(compile_model)
app.command("run")(run_model)
app.command("finetune")(finetune_model)
app.command("adapt")(adapt)
app.command("compare")(compare)
app.command("early-exit")(early_exit)
app.command("estimate")(estimate)
app.command("verify")(verify)
app.command("export-lava")(export_lava)
app.command("export-nir")(export_nir)
app.command("doctor")(doctor)
app.add_typer(profiles, name="profiles")
app.add_typer(zoo, name="zoo")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"spikeport {version('spikeport')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one message on stderr.

    With SPIKEPORT_DEBUG=1 in the environment they are raised instead.
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="spikeport")
    except SystemExit as stop:  # Typer makes one of an interruption, too
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if code == INTERRUPTED:
            print("interrupted", file=sys.stderr)
        return code
    except Exception as error:
        if os.environ.get("SPIKEPORT_DEBUG") == "1":
            raise
        message, code = _explain(error)
        print(message, file=sys.stderr)
        return code
    return 0


def _explain(error: Exception) -> tuple[str, int]:
    if isinstance(error, SpikeportError):
        return f"error: {error}", error.exit_code
    if isinstance(error, MemoryError):
        return "error: not enough memory; use fewer samples (--samples) or a smaller network", 2
    return (
        f"error: spikeport failed unexpectedly: {type(error).__name__}: {error}. Please report this; "
        "SPIKEPORT_DEBUG=1 shows where it happened.",
        1,
    )


def run() -> None:
    """Entry point of the installed command."""
    # Read when torch loads. Threads that wait for work by spinning make a busy machine four times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(main())
