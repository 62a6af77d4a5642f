# SPDX-License-Identifier: Apache-2.0
"""The command `arbaro`: parse, call one room, output. Rooms are imported late, so that --help is there at once."""

import signal
import sys

import click

from arbaro import __version__
from arbaro.cli import drill, env, images, look, power, shell_init, up
from arbaro.errors import EXIT_FAILURE, EXIT_OK, ArbaroError


def main() -> None:
    """Run the command line; errors end as one readable message and exit code 2."""
    _heed_ends()
    try:
        code = cli.main(prog_name="arbaro", standalone_mode=False)
    except ArbaroError as error:
        from arbaro import output

        output.print_error(error)
        code = EXIT_FAILURE
    except click.ClickException as error:
        error.show()
        code = EXIT_FAILURE
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted. Run the same command again: it goes on from where it was.", err=True)
        code = EXIT_FAILURE
    except Exception:  # noqa: BLE001 (the last door)
        import traceback

        # Python would end with 1, which is our warning.
        traceback.print_exc()
        click.echo("This is a fault in arbaro itself; please report it with the lines above.", err=True)
        code = EXIT_FAILURE
    sys.exit(code if isinstance(code, int) else EXIT_OK)


def _heed_ends() -> None:
    """Have `kill` and a closed terminal end us as Ctrl-C does: with what we have started. `nohup` is respected."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def cli() -> None:
    """Grow, run and renew a private cloud on real OpenStack.

    \b
    arbaro up                        a cloud of your own, with a first server
    arbaro status                    how it is
    arbaro ssh default controller    look inside
    arbaro down                      take it away, with its servers and data
    """


#: In the order of a cloud's life; --help sorts them by name.
COMMANDS = (
    up.up,
    look.ls,
    look.status,
    look.ssh,
    look.logs,
    power.stop,
    power.start,
    power.down,
    look.inventory,
    drill.drill,
    images.images,
    env.env,
    shell_init.shell_init,
)
for command in COMMANDS:
    cli.add_command(command)
