"""Serves PostgreSQL on loopback, made anew where the folder is empty: ``python postgresql.py FOLDER PASSWORD ...``.

The databases and their owner are those of docs/team.md. PostgreSQL never runs as root: there an account without
rights takes its place.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
from pathlib import Path

DATABASES = ("mlflow", "mlflow_auth", "prefect")


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, which Debian does not put where others are; None without one."""
    there = shutil.which("initdb")
    places = [Path(there).resolve().parent] if there else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in reversed(places) if (place / "initdb").exists()), None)


def main() -> None:
    """Make what is not there yet, and become the server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("password")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True)
    given = parser.parse_args()
    bin_ = programs()
    assert bin_ is not None, "PostgreSQL is not installed: apt install postgresql"
    if os.geteuid() == 0:
        _become(_account(), given.folder)
    os.umask(0o077)
    os.chdir(given.folder)
    data = given.folder / "data"
    if not data.exists():
        _make(bin_, data, given.password)
    settings = {
        "listen_addresses": given.host, "port": given.port, "unix_socket_directories": str(given.folder),
        "fsync": "off",  # processes end here, never the machine
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    os.execv(bin_ / "postgres", ["postgres", "-D", str(data), *options])


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise SystemExit("Neither an account `postgres` nor `nobody` is there, and PostgreSQL does not run as root.")


def _become(account: pwd.struct_passwd, folder: Path) -> None:
    os.chown(folder, account.pw_uid, account.pw_gid)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _make(bin_: Path, data: Path, password: str) -> None:
    secret = data.with_name("password")
    secret.write_text(password)
    made = data.with_name("making")
    shutil.rmtree(made, ignore_errors=True)
    # `template1` of the C locale is made in every language; encoding as Debian has it.
    subprocess.run(
        [bin_ / "initdb", "--pgdata", made, "--username", "analognas", "--pwfile", secret, "--auth", "scram-sha-256",
         "--encoding", "UTF8", "--no-locale", "--no-sync"],
        check=True,
    )  # fmt: skip
    secret.unlink()
    wishes = "".join(f"CREATE DATABASE {name}\n" for name in DATABASES)
    subprocess.run([bin_ / "postgres", "--single", "-D", made, "postgres"], input=wishes, text=True, check=True)
    made.rename(data)


if __name__ == "__main__":
    main()
