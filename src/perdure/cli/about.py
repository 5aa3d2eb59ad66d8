"""`completion` and `version`: what this program says about itself."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from perdure.cli.screen import print_json
from perdure.cli.where import Where, shared
from perdure.extras import load
from perdure.worker.records import package_version

HOMES = {
    "bash": "perdure completion bash > ~/.local/share/bash-completion/completions/perdure",
    "zsh": "perdure completion zsh > ~/.zfunc/_perdure      # with fpath+=~/.zfunc before compinit",
    "fish": "perdure completion fish > ~/.config/fish/completions/perdure.fish",
}


@click.command(epilog="Install it once: " + "; ".join(HOMES.values()))
@click.argument("shell", type=click.Choice(tuple(HOMES)))
def completion(shell: str) -> None:
    """Print the script by which SHELL completes commands, options, task names, ids and queues."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    found = kind(load("perdure.cli.main:program"), {}, "perdure", "_PERDURE_COMPLETE")
    click.echo(found.source_template % found.source_vars())


@click.command()
@shared()
def version(where: Where) -> None:
    """Print the version."""
    print_json({"version": package_version()}) if where.json else click.echo(f"perdure {package_version()}")
