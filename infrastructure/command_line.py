"""The command `pomocore`, from any directory: `pomocore NAME …` is `python -m cmd.NAME …` from the root.

`cmd` is also a module of the standard library, which stands before installed packages: ours has to be found first.
"""

import sys
from importlib import import_module
from pathlib import Path

VERSION = "0.2.0"


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(import_module("cmd.__main__").main(sys.argv[1:], "pomocore"))
