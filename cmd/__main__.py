"""All commands: `python -m cmd` lists them, `python -m cmd NAME …` runs one, as `python -m cmd.NAME …` does."""

import ast
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from infrastructure.command_line import VERSION
from infrastructure.observing.nearest_name import hint
from infrastructure.process.early_signals import handle_early_signals

_HERE = Path(__file__).parent
_LONG_RUNNING = ("collector", "export", "sample", "stream_consumer")
"""They run until a signal ends them."""


def commands() -> dict[str, str]:
    """{name: what it does}, from the first lines of the modules, none of which is imported."""
    return {path.stem: _purpose(path) for path in sorted(_HERE.glob("*.py")) if not path.stem.startswith("_")}


def _purpose(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def main(arguments: list[str], program: str = "python -m cmd") -> int:
    """Runs the command that the first argument names. Ends by SystemExit where there is one."""
    known = commands()
    first = arguments[0] if arguments else "--help"
    name = first.replace("-", "_")
    if first in ("--help", "-h"):
        width = max(map(len, known)) + 2
        rows = "".join(f"  {name:<{width}}{purpose}\n" for name, purpose in known.items())
        sys.stdout.write(f"Usage: {program} COMMAND …\n\nCommands; each has its own --help:\n{rows}")
    elif first == "--version":
        sys.stdout.write(f"pomocore {VERSION}\n")
    elif first == "--completion":  # bash and zsh read it: eval "$(pomocore --completion)"
        sys.stdout.write(_COMPLETION)
    elif first == "--complete":
        sys.stdout.write("\n".join(_completions(arguments[1:], known)))
    elif name not in known:
        sys.stderr.write(f"{first!a}: no such command; {hint(name, known)}\n")
        return 2
    else:
        if name in _LONG_RUNNING:
            handle_early_signals()  # loading a command takes its time
        import_module(f"cmd.{name}").app(arguments[1:], prog_name=f"{program} {name}")
    return 0


_COMPLETION = """\
if [ -n "${ZSH_VERSION-}" ]; then autoload -U +X bashcompinit && bashcompinit; fi
_pomocore() {
  COMPREPLY=($(compgen -W "$(pomocore --complete "${COMP_WORDS[@]:1:COMP_CWORD}")" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _pomocore pomocore
"""


def _completions(words: list[str], known: Iterable[str]) -> list[str]:
    """What may stand in place of the last of `words`: commands, subcommands, options."""
    if len(words) < 2:
        return [*known, "--help", "--version"]
    if (name := words[0].replace("-", "_")) not in known:
        return []
    from typer.main import get_command

    command: Any = get_command(import_module(f"cmd.{name}").app)
    for word in words[1:-1]:
        command = getattr(command, "commands", {}).get(word, command)
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    return [*getattr(command, "commands", ()), *options, "--help"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
