"""Options that several verbs share, and what they lead to: the configuration, and what a question is asked about."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from frozendict import frozendict

from autoscale_aks.cli.terminal import busy
from autoscale_aks.errors import ConfigError, Problem, ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

CONFIG_VARIABLE: Final = "AZAKS_CONFIG"
LOCAL_CONFIG: Final = Path("autoscale.json")
SYSTEM_CONFIG: Final = Path("/etc/azaks/autoscale.json")


def find_config() -> Path | None:
    """The configuration that is meant where `-c` is left out; None: there is none.

    `AZAKS_CONFIG` when it is set, else `./autoscale.json`, else `/etc/azaks/autoscale.json`. The one in the working
    directory counts only when it belongs to this user or to root, for it names commands that are run: raises
    ConfigError for a stranger's.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    try:
        owner = LOCAL_CONFIG.stat().st_uid
    except OSError:
        return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None
    if owner not in {0, os.geteuid()}:
        fault = "belongs to another user and names commands that are run; say -c autoscale.json if that is meant"
        raise ConfigError([Problem("./autoscale.json", fault)])
    return LOCAL_CONFIG


def _required_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    found = value or (None if ctx.resilient_parsing else find_config())
    if found is None and not ctx.resilient_parsing:
        places = f"{CONFIG_VARIABLE} is not set, and neither ./{LOCAL_CONFIG} nor {SYSTEM_CONFIG} is there"
        raise click.UsageError(f"Missing option {param.get_error_hint(ctx)}: {places}. Next: azaks config init.", ctx)
    return found


config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_required_config,
    help=f"The configuration file; by default ${CONFIG_VARIABLE}, ./{LOCAL_CONFIG} or {SYSTEM_CONFIG}.",
)
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for programs.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress lines.")


@dataclass(frozen=True, slots=True)
class Question:
    """What a question is asked about: a live look at everything, or a scenario."""

    snapshot: Snapshot
    policy: Policy
    kinds: Kinds
    notices: tuple[str, ...] = ()
    """What the look at the sources has to say beside it."""
    default_columns: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing because a source could not be read whole (user ask T35c), and the notices."""
        missing = [
            f"{source.name} could not be read whole" + (f": {source.detail}" if source.detail else "")
            for source in self.snapshot.sources
            if not source.complete
        ]
        return (*missing, *self.notices, *(str(problem) for problem in self.snapshot.problems))


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`-c CONFIG` or `--scenario FILE|-`, one of them; neither: the configuration that `find_config` finds."""
    scenario = click.option("--scenario", metavar="FILE|-", help="A scenario file instead; - reads stdin.")
    config = click.option(
        "-c",
        "--config",
        "config_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The configuration file: scheduler, cloud and ledger are read. By default as for azaks demand.",
    )
    return config(scenario(command))


def read_question(config_path: Path | None, scenario: str | None) -> Question:
    """Look at everything once, or read the scenario. Writes nothing anywhere. Raises what reading them raises."""
    if config_path is not None and scenario is not None:
        raise click.UsageError("Give either -c CONFIG or --scenario FILE, not both.")
    if scenario is not None:
        from autoscale_aks.planning.scenario import decode_scenario, parse_json  # noqa: PLC0415

        snapshot, policy = decode_scenario(parse_json(read_text(scenario)))
        return Question(snapshot, policy, {})
    found = config_path or find_config()
    if found is None:
        raise click.UsageError("Give either -c CONFIG or --scenario FILE.")
    return _look(found)


def _look(config_path: Path) -> Question:
    from autoscale_aks.cli.logs import configure_logging  # noqa: PLC0415  a scenario needs no ports
    from autoscale_aks.cli.wiring import reading_world  # noqa: PLC0415
    from autoscale_aks.config import load_usable  # noqa: PLC0415
    from autoscale_aks.reconcile.cycle import effective_policy  # noqa: PLC0415
    from autoscale_aks.reconcile.observe import observe  # noqa: PLC0415

    config = load_usable(config_path)
    configure_logging(config.logging)
    with busy("reading scheduler, cloud and ledger"), reading_world(config) as world:
        seen = observe(world)
        return Question(
            seen.snapshot, effective_policy(world, seen.requested), world.kinds, seen.notices, config.default_columns
        )


def read_text(source: str) -> str:
    """A file's text, or standard input's for `-`: UTF-8, as JSON wants it, whatever the locale says.

    Raises ScenarioError when it cannot be read.
    """
    try:
        with click.open_file(source, "rb") as stream:
            return bytes(stream.read()).decode("utf-8-sig")
    except OSError as error:
        raise ScenarioError([Problem(source, f"cannot be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise ScenarioError([Problem(source, f"cannot be read: {error}")]) from error
