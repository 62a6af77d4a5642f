# SPDX-License-Identifier: Apache-2.0
"""The command `arbaro shell-init`: what bash, zsh and fish evaluate at their start."""

import click

from arbaro.errors import EXIT_OK


@click.command("shell-init")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
@click.option(
    "--refresh", is_flag=True, help="Read clouds.yaml again for the shells' index; they ask for it themselves."
)
@click.option("--openstack", is_flag=True, help="Read the openstack client's verbs for completion; takes seconds.")
def shell_init(shell: str | None, refresh: bool, openstack: bool) -> int:
    """Print the code that lets a shell switch environments. It also completes their names and shows them in the prompt.

    \b
    eval "$(arbaro shell-init bash)"      in ~/.bashrc
    eval "$(arbaro shell-init zsh)"       in ~/.zshrc
    arbaro shell-init fish | source       in ~/.config/fish/config.fish
    """
    from arbaro import output
    from arbaro import shell as processes
    from arbaro.cli import cli
    from arbaro.cli.env import env
    from arbaro.envs import index, shellinit
    from arbaro.settings import openstack_command

    if refresh:
        index.refresh(always=False)
    if openstack:
        shellinit.write_openstack_words(processes.run([openstack_command(), "complete", "--shell", "bash"]))
    if shell:
        output.hand_over(shellinit.init_text(shell, sorted(cli.commands), sorted(env.commands)))
    return EXIT_OK
