"""`azaks completion`: what a shell needs to complete verbs and options."""

from __future__ import annotations

import click

from autoscale_aks.cli.main import BAD_INPUT, DONE, PROGRAM, cli

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def command(shell: str | None) -> int:
    """Print the completion script of SHELL: bash (4.4 or later), zsh or fish.

    Completion asks the program itself, so there is nothing to refresh after a change.

    \b
    bash: echo 'eval "$(azaks completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(azaks completion zsh)"' >> ~/.zshrc   (below compinit)
    fish: azaks completion fish > ~/.config/fish/completions/azaks.fish
    Example: azaks completion bash
    """
    if shell is None:
        click.echo(f"nothing to refresh: completion asks {PROGRAM} itself. To set it up: {PROGRAM} completion SHELL")
        return DONE
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    found = get_completion_class(shell)
    if found is None:
        return BAD_INPUT
    made = found(cli, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    click.echo(made.source_template % made.source_vars())
    return DONE
