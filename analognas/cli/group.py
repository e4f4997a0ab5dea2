"""The group of all commands: what it makes of errors, warnings and interruptions."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from analognas import __version__
from analognas.errors import AnalogNASError, AnalogNASWarning

_show_warning = warnings.showwarning


def _warn(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Tell a warning of the library as its errors are told."""
    if issubclass(category, AnalogNASWarning):
        click.echo(f"analognas: {message}", err=True)
    else:
        _show_warning(message, category, *where, **more)


class _Group(click.Group):
    """Turns the errors of the library into one sentence and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        warnings.showwarning = _warn
        given = kwargs.get("args") or (args[0] if args else sys.argv[1:])
        try:
            # Not standalone: there click would say "Aborted!" and nothing more.
            return super().main(*args, **kwargs | {"standalone_mode": False})
        except AnalogNASError as error:
            click.echo(f"analognas: {error}", err=True)
            _end(given, error.exit_code, str(error), error.details)
        except click.ClickException as error:
            error.show()
            _end(given, error.exit_code, error.format_message())
        except (KeyboardInterrupt, click.Abort):
            click.echo("analognas: interrupted; what was finished is kept, run again to go on.", err=True)
            sys.exit(1)


def _end(given: Sequence[str], code: int, message: str, details: Mapping[str, Any] | None = None) -> NoReturn:
    """End after an error that was told; who asked for JSON gets an object, as after success."""
    if "--json" in given:
        click.echo(json.dumps({"error": message, "exit_code": code, **(details or {})}))
    sys.exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="analognas")
@click.pass_context
def main(context: click.Context) -> None:
    """Find neural architectures that stay accurate on analog in-memory computing chips."""
    from analognas.stages.recorded import one_look

    context.with_resource(one_look())


def tell(notes: Sequence[str]) -> None:
    """Tell what the user should know of a run that came to its end."""
    for note in notes:
        click.echo(f"analognas: {note}", err=True)
