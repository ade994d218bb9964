"""`cmd` is also a module of the standard library, which pdb, and so pytest, imports."""

import cmd
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_package_is_ours() -> None:
    assert Path(cmd.__file__ or "") == ROOT / "cmd" / "__init__.py"


def test_the_names_of_the_standard_library_are_there() -> None:
    assert cmd.PROMPT == "(Cmd) "
    assert "_" in cmd.IDENTCHARS
    assert set(cmd.__all__) == {"Cmd", "PROMPT", "IDENTCHARS"}


def test_a_command_interpreter_works() -> None:
    class Told(cmd.Cmd):
        heard = ""

        def do_say(self, argument: str) -> None:
            self.heard = argument

    told = Told()
    told.onecmd("say hello")

    assert told.heard == "hello"


def test_pdb_can_be_imported_here() -> None:
    import pdb

    assert issubclass(pdb.Pdb, cmd.Cmd)


@pytest.mark.parametrize(
    "code",
    [
        "import pdb; pdb.Pdb",
        "import cmd, sys; assert set(sys.modules) & {'domains', 'infrastructure', 'typer', 'redis'} == set()",
        "import cmd.publish, pdb",
        "import pdb, cmd.publish",
        "import cmd.__main__, sys; cmd.__main__.main([]); assert not {'typer', 'click', 'rich'} & set(sys.modules)",
    ],
)
def test_in_a_process_of_its_own(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_pdb_starts_from_the_root() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pdb", "-c", "continue", "-c", "quit", "-m", "cmd.publish", "--help"],
        cwd=ROOT,
        input="quit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "Traceback" not in result.stderr
    assert "activity stream" in result.stdout
