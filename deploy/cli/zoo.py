"""``spikeport zoo``: published methods, trained, deployed, and their claims reproduced."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options

zoo = typer.Typer(
    help="List the published methods in the zoo, train one, deploy it, search for a better one, reproduce its claim."
)

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", help="The data set's file, or a folder that holds it. Default: as trained."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A method; spikeport zoo lists them.")]
DataSet = Annotated[
    Path,
    typer.Option("--data", metavar="PATH", help="The data set's file, or a folder that holds it: docs/zoo.md, 'Data'."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting: spikeport zoo settings NAME lists them; repeatable.",
    ),
]


@zoo.callback(invoke_without_command=True)
def list_all(context: typer.Context, json: options.Json = None) -> None:
    """List the methods: paper, data, published and reproduced figures."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from spikeport.deploy.cli.output import check_targets, show
    from spikeport.deploy.report.tables import columns
    from spikeport.models.zoo import METHODS

    check_targets(json)
    rows = [asdict(method) for method in METHODS.values()]
    heads = {key: key for key in ("name", "title", "paper", "data", "published", "reproduced")}
    show({"methods": rows}, [columns("zoo", rows, heads)], json)


@zoo.command("settings")
def settings(name: Name, json: options.Json = None) -> None:
    """List what --set takes for a method: every setting, its default and its meaning."""
    from spikeport.deploy.cli.output import check_targets, show
    from spikeport.deploy.report.tables import columns
    from spikeport.models.training.settings import settings_of
    from spikeport.models.zoo import recipe

    check_targets(json)
    rows = settings_of(recipe(name).config)
    heads = {"name": "setting", "default": "default", "meaning": "meaning"}
    show({"method": name, "settings": rows}, [columns(f"{name}: --set SETTING=VALUE", rows, heads)], json)


@zoo.command("train")
def train(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; goes on if it was begun there.")],
    data: DataSet = Path(),
    seed: Annotated[int, typer.Option(min=0, help="Of initial weights, sample order and splits.")] = 0,
    settings: Settings = None,
    target: Annotated[
        str, typer.Option(help="Chip it is meant for: told before training if it cannot go there.")
    ] = "loihi2",
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Log every epoch's loss and the result there, for TensorBoard.")
    ] = None,
    json: options.Json = None,
) -> None:
    """Train a method; stopped and started again it ends with the same bits."""
    from spikeport.deploy.cli.output import check_targets, progress, show, tell
    from spikeport.deploy.report.tables import facts
    from spikeport.deploy.zoo.deployed import will_not_deploy
    from spikeport.models.training.config import read_config
    from spikeport.models.training.fit import Watch
    from spikeport.models.training.run_folder import finish_run, read_record, start_run
    from spikeport.models.training.tensorboard import logger
    from spikeport.models.zoo import recipe

    check_targets(json)
    _check_there(data)
    chosen = recipe(name)
    config = read_config(chosen.config, {"seed": seed, **_pairs(settings)})
    run = start_run(output, name, config, data)
    tell((*chosen.samples(run).findings, *will_not_deploy(run, chosen, target)))
    with progress(f"training {name}") as report, logger(tensorboard) as log:
        figures = chosen.train(run, Watch(progress=report, log=log))
        finish_run(run, figures)
        if log is not None:
            log(config.epochs, figures)
    record = read_record(output)
    show(record, [facts(f"{name}: {output}", record["figures"])], json)


@zoo.command("deploy")
def deploy(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a finished training.")],
    target: Annotated[str, typer.Option(help="Chip: a profile's name or .toml file.")] = "loihi2",
    data: Data = None,
    json: options.Json = None,
) -> None:
    """Write model.nir and model.spk into the folder; compare chip and float on test data; count the energy.

    Files of an earlier --target are replaced.
    """
    from spikeport.deploy.cli.output import check_targets, show, status, tell
    from spikeport.deploy.zoo.deploy_record import deploy_record, deploy_tables
    from spikeport.deploy.zoo.deployed import deploy_run
    from spikeport.models.training.run_folder import open_run, read_record
    from spikeport.models.zoo import recipe

    check_targets(json)
    chosen = recipe(read_record(folder)["method"])
    run = open_run(folder, chosen.config, data)
    with status(f"deploying {folder}"):
        deployed = deploy_run(run, chosen, target, folder)
    tell(deployed.findings)
    record = deploy_record(run, deployed)
    show(record, deploy_tables(record), json)


@zoo.command("search")
def search_skips(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What is searched: skips.")],
    data: Annotated[
        str, typer.Option("--data", metavar="digits|PATH", help="scikit-learn's digits, or where event recordings lie.")
    ] = "digits",
    target: Annotated[str, typer.Option(help="Chip: a profile's name or .toml file.")] = "loihi2",
    trials: Annotated[int, typer.Option(min=1, help="In all; a search goes on where it was stopped.")] = 16,
    sampler: Annotated[str, typer.Option(help="gp: Bayesian optimisation; tpe; random.")] = "gp",
    goal: Annotated[
        str, typer.Option(help="score: accuracy and firing rate; pareto: energy, cores and step time as well.")
    ] = "score",
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    random: Annotated[bool, typer.Option("--random", help="Also a random search of as many trials.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Trials side by side, on Dask.")] = 1,
    settings: Settings = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the search. Default: runs/skips-search.")
    ] = None,
    json: options.Json = None,
) -> None:
    """Search for skip connections: train, deploy and price candidates; show the best and the Pareto front."""
    from spikeport.deploy.cli.output import check_targets, progress, show, tell
    from spikeport.deploy.zoo.skips_record import search_record, search_tables
    from spikeport.deploy.zoo.skips_search import DIGITS, asked_for, search
    from spikeport.errors import DataError
    from spikeport.models.skips.recipe import samples
    from spikeport.models.training.run_folder import RunFolder

    if name != "skips":
        raise DataError(f"nothing to search in {name!r}; there is skips")
    check_targets(json)
    home, found = output or Path("runs") / "skips-search", {}
    if data != DIGITS:
        first = asked_for(data, _pairs(settings), target, sampler, goal, seed)
        tell(samples(RunFolder(home, name, first.config, first.data)).findings)
    for kind in dict.fromkeys((sampler, *(["random"] if random else []))):
        asked = asked_for(data, _pairs(settings), target, kind, goal, seed)
        with progress(f"{kind} search for skips") as report:
            found[kind] = search(asked, home, trials, workers, report)
    record = search_record(found, target, home)
    show(record, search_tables(found), json)


@zoo.command("reproduce")
def reproduce_claims(
    name: Name,
    data: DataSet = Path(),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the trainings. Default: runs/NAME.")
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N,N,...", help="One training of every variant for each.")] = "0,1,2",
    json: options.Json = None,
) -> None:
    """Reproduce a paper's claim at small scale: tables with mean and spread over seeds, and what holds."""
    from spikeport.deploy.cli.output import check_targets, show, status, tell
    from spikeport.deploy.zoo.reproduction import reproduce

    check_targets(json)
    _check_there(data)
    with status(f"reproducing {name}") as step:
        found = reproduce(name, data, output or Path("runs") / name, _seeds(seeds), step)
    tell(found.findings)
    show(found.as_dict(), found.shown(), json)


def _check_there(data: Path) -> None:
    from spikeport.errors import DataError

    if not data.exists():
        raise DataError(f"{data}: no such file or folder")


def _pairs(settings: list[str] | None) -> dict[str, str]:
    from spikeport.errors import DataError

    pairs = [text.partition("=") for text in settings or ()]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise DataError(f"--set {name}: write NAME=VALUE, for example --set epochs=20")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _seeds(text: str) -> tuple[int, ...]:
    from spikeport.errors import DataError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise DataError(f"--seeds {text}: write different whole numbers with commas between, for example 0,1,2")
    return tuple(map(int, parts))
