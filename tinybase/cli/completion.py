"""``tinybase completion``: what makes a shell complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    Examples:
      tinybase completion bash >> ~/.bashrc
      tinybase completion zsh >> ~/.zshrc
      tinybase completion fish > ~/.config/fish/completions/tinybase.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"There is no completion for {shell}.")
    root = ctx.find_root().command
    click.echo(found(root, {}, "tinybase", "_TINYBASE_COMPLETE").source())
