#!/bin/sh
# torch 2.12.1 with sympy 1.14.0: Ctrl-C during the first optimizer of a process leaves it without optimizers for good.
#
# To create a torch.optim.SGD is no heavy thing, one would think. The first one of a process imports torch._dynamo and
# with it sympy: seconds, a minute from a cold disk or on a busy machine. If an exception arrives meanwhile (Ctrl-C, a
# notebook's stop button, the limit of a test), Python takes `sympy` out of sys.modules, but not its submodules. The next
# attempt imports sympy anew, finds them there, and does not bind them to the new package. From then on each optimizer
# ends in an AttributeError that names neither the interruption nor the import; only a new process helps.
#
# Seen, interrupted while sympy.series is looked for:
#   first optimizer: KeyboardInterrupt
#   second optimizer: AttributeError: module 'sympy' has no attribute 'printing'
#   third optimizer: AttributeError: module 'sympy' has no attribute 'printing'
# It is no matter of one moment: at sympy.polys and sympy.printing it is the attribute 'core'. (Interrupted at sympy.logic, the
# second attempt succeeds.)
#
# Needs Python 3.11 to 3.13 (PYTHON=...), and 6 GB in a temporary folder. Exits with 0 as long as it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.12.1 sympy==1.14.0 numpy==2.4.6
cat > "$folder/interrupted.py" <<'PYTHON'
import signal
import sys

import torch


class CtrlC:
    """Ctrl-C at the moment in which a module is looked for, once."""

    def find_spec(self, name, path=None, target=None):
        if name == "sympy.series":
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)


def attempt():
    try:
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))], lr=0.1)
    except KeyboardInterrupt:
        return "KeyboardInterrupt"
    except AttributeError as error:
        return f"AttributeError: {error}"
    return "created"


sys.meta_path.insert(0, CtrlC())
for number in ("first", "second", "third"):
    print(f"{number} optimizer: {attempt()}")
PYTHON
seen=$("$folder/venv/bin/python" -W ignore "$folder/interrupted.py")
echo "$seen"
expected="first optimizer: KeyboardInterrupt
second optimizer: AttributeError: module 'sympy' has no attribute 'printing'
third optimizer: AttributeError: module 'sympy' has no attribute 'printing'"
test "$seen" = "$expected"
