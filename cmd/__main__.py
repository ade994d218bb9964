"""All commands: `python -m cmd` lists them, `python -m cmd NAME …` runs one, as `python -m cmd.NAME …` does."""

import ast
import sys
from importlib import import_module
from pathlib import Path

from infrastructure.process.early_signals import handle_early_signals

_HERE = Path(__file__).parent
_LONG_RUNNING = ("sample", "stream_consumer")
"""They run until a signal ends them."""


def commands() -> dict[str, str]:
    """{name: what it does}, from the first lines of the modules, none of which is imported."""
    return {path.stem: _purpose(path) for path in sorted(_HERE.glob("*.py")) if not path.stem.startswith("_")}


def _purpose(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def main(arguments: list[str]) -> int:
    """Runs the command that the first argument names. Ends by SystemExit where there is one."""
    known = commands()
    if not arguments or arguments[0] in ("--help", "-h"):
        width = max(map(len, known)) + 2
        rows = "".join(f"  {name:<{width}}{purpose}\n" for name, purpose in known.items())
        sys.stdout.write(f"Usage: python -m cmd COMMAND …\n\nCommands; each has its own --help:\n{rows}")
        return 0
    name = arguments[0].replace("-", "_")
    if name not in known:
        sys.stderr.write(f"{arguments[0]!a}: no such command; there are {', '.join(known)}\n")
        return 2
    import_module(f"cmd.{name}").app(arguments[1:], prog_name=f"python -m cmd {name}")
    return 0


if __name__ == "__main__":
    if "".join(sys.argv[1:2]).replace("-", "_") in _LONG_RUNNING:
        handle_early_signals()  # loading a command takes its time
    sys.exit(main(sys.argv[1:]))
