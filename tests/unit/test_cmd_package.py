"""`cmd` is also a module of the standard library, which pdb, and so pytest, imports."""

import cmd
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.command_line import VERSION

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


def test_the_image_has_the_version() -> None:
    assert f'image.version="{VERSION}"' in (ROOT / "Dockerfile").read_text()


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


# The command pomocore


@pytest.fixture
def pomocore(tmp_path: Path) -> Callable[..., str]:
    """Runs shell commands in another directory, with `pomocore` on PATH as `make` puts it there."""
    script = tmp_path / "pomocore"
    lines = (f"#!{sys.executable}", "import sys", f"sys.path.insert(0, {str(ROOT)!r})")
    script.write_text("\n".join((*lines, "from infrastructure.command_line import main", "main()", "")))
    script.chmod(0o755)

    def run(command: str) -> str:
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True)
        return done.stdout + done.stderr

    return run


def test_it_says_its_version_and_what_there_is(pomocore: Callable[..., str]) -> None:
    assert pomocore("pomocore --version") == f"pomocore {VERSION}\n"
    assert "Usage: pomocore COMMAND" in pomocore("pomocore")
    assert "Usage: pomocore leaderboard" in pomocore("pomocore leaderboard --help")
    assert "Visual Studio Code" in pomocore("pomocore classify --app 'Visual Studio Code'")
    assert "did you mean dead_letters?" in pomocore("pomocore dead-leters; echo $?")


def test_from_another_directory_it_works_on_the_data_of_the_checkout(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STREAM_KEY=here\n")
    code = "from infrastructure.settings import load_settings as load; print(load().data_dir, load().stream_key)"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)

    assert done.stdout == f"{ROOT / '.data'} here\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("leader", {"leaderboard"}),
        ("dead_letters re", {"replay"}),
        ("dead_letters replay --o", {"--older-than"}),
        ("nothing -", set()),
    ],
)
def test_bash_completes(pomocore: Callable[..., str], words: str, expected: set[str]) -> None:
    line = f"pomocore {words}"
    asked = f'COMP_WORDS=({line}); COMP_CWORD={len(words.split())}; _pomocore; echo "${{COMPREPLY[@]}}"'

    assert set(pomocore(f'eval "$(pomocore --completion)"; {asked}').split()) == expected
