"""The entry points, run from the root as `python -m cmd.<name>`.

This package shadows the standard library's `cmd`, which pdb, and so pytest, imports. It therefore loads that
module by its path and re-exports its names; it must import nothing else that is not in every process anyway.
"""

import signal
import sys
import sysconfig
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_spec = PathFinder.find_spec("cmd", [sysconfig.get_path("stdlib")])
assert _spec is not None, "the standard library has a module cmd"
assert _spec.loader is not None, "it can be loaded"
_stdlib_cmd = module_from_spec(_spec)  # not registered in sys.modules: the name is this package's
_spec.loader.exec_module(_stdlib_cmd)

Cmd = _stdlib_cmd.Cmd
PROMPT = _stdlib_cmd.PROMPT
IDENTCHARS = _stdlib_cmd.IDENTCHARS
__all__ = ["IDENTCHARS", "PROMPT", "Cmd"]

_is_command = sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2].partition(".")[0] == "cmd"
if (_is_command or sys.argv[0].endswith("/pomocore")) and signal.getsignal(
    signal.SIGINT
) is signal.default_int_handler:
    # Ctrl-C ends a command that is being loaded without a word; `cmd._run` takes over where something has to be ended
    signal.signal(signal.SIGINT, signal.SIG_DFL)
