"""The group of all commands: what it makes of errors, warnings and interruptions."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from analognas import __version__
from analognas.errors import AnalogNASError, AnalogNASWarning
from analognas.files import workspace_root
from analognas.redaction import redact

_show_warning = warnings.showwarning
_INTERRUPTED = "interrupted; what was finished is kept, run again to go on."


def _warn(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Tell a warning of the library as its errors are told; others' are for those who ask Python for warnings."""
    if issubclass(category, AnalogNASWarning):
        click.echo(f"analognas: {message}", err=True)
    elif sys.warnoptions:
        _show_warning(message, category, *where, **more)


class _Group(click.Group):
    """Turns the errors of the library into one sentence and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        warnings.showwarning = _warn
        _tell_when_ended()
        given = kwargs.get("args") or (args[0] if args else sys.argv[1:])
        try:
            # Not standalone: there click would say "Aborted!" and nothing more.
            return super().main(*args, **kwargs | {"standalone_mode": False})
        except AnalogNASError as error:
            _end(given, error.exit_code, str(error), type(error).__name__, error.details)
        except click.ClickException as error:
            error.show()
            _end(given, error.exit_code, error.format_message(), type(error).__name__, told=True)
        except (KeyboardInterrupt, click.Abort):
            _end(given, 1, _INTERRUPTED, "Interrupted")
        except MemoryError:
            _end(given, 1, "There is not enough memory: what was finished is kept; end other programs, or take "
                 "smaller data, then run again.", "OutOfMemory")  # fmt: skip
        except OSError as error:
            _end(given, 1, f"{_file(error)}: what was finished is kept; mend that, then run again.", "SystemRefused")
        except Exception as error:  # a fault of analognas
            _end(given, 1, f"This is a fault of analognas, not yours: what was finished is kept; please report it with "
                 f"{_kept(error)}, which holds where it was.", "Fault")  # fmt: skip
        finally:
            _send_what_waits()


def _tell_when_ended() -> None:
    """Let whoever ends this process (``kill``, a container that is stopped) read what Ctrl-C says; it ends as ever."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _ended)


def _ended(number: int, _frame: object) -> None:
    os.write(2, f"analognas: {_INTERRUPTED}\n".encode())
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _send_what_waits() -> None:
    """Tell of a run that was killed, and send what a receiver that was away has not taken yet."""
    try:
        root = workspace_root(Path.cwd().resolve())
    except OSError:  # the folder that it was called in is gone
        return
    if root is None or not (root / ".analognas").is_dir():
        return
    from analognas import notices
    from analognas.workspace import Paths

    notices.crashed(Paths(root))
    notices.resume(Paths(root))


def _end(
    given: Sequence[str],
    code: int,
    message: str,
    kind: str,
    details: Mapping[str, Any] | None = None,
    *,
    told: bool = False,
) -> NoReturn:
    """Tell an error, unless it was, and end; who asked for JSON gets an object, as after success."""
    if not told:
        click.echo(f"analognas: {message}", err=True)
    options = list(given)
    if "--json" in options[: options.index("--") if "--" in options else None]:
        click.echo(json.dumps({"error": message, "kind": kind, "exit_code": code, **(details or {})}))
    sys.exit(code)


def _file(error: OSError) -> str:
    what = (error.strerror or "the system refuses something").lower()
    return f"{error.filename} cannot be used ({what})" if error.filename else f"The system refuses something ({what})"


def _kept(error: Exception) -> str:
    """Keep the traceback of an error in a file, and return its path."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="analognas-", suffix=".txt", delete=False) as file:
        file.write(redact("".join(traceback.format_exception(error))))
    return file.name


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
