"""Says which category a window has, and why. It uses the rules, the local classifier and the LLM, but no store.

python -m cmd.classify --app "IntelliJ IDEA 2024.2" --why
"""

import os
import sys
from cmd._output import Json, fail, json_line, print_json, print_tables, progress, say, table
from cmd._run import interruptible
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from typing_extensions import override

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.explain import Trace, explain
from domains.patternClassifier.model import Classification, PauseReason, RuleMatch, Tier
from domains.patternClassifier.ports import ClassifierObserver
from domains.patternClassifier.snapshot import PatternSnapshot
from infrastructure.http.explanations import answer_document, trace_document
from infrastructure.observing.printable import printable
from infrastructure.observing.readable import counted, duration, share
from infrastructure.offline.offline_classifier import (
    Answer,
    OfflineClassifier,
    decide,
    may_be_configured,
    snapshot_of,
)
from infrastructure.offline.tally import Tally
from infrastructure.offline.window_lines import BadLine, WindowLine, read_windows
from infrastructure.patterns.pattern_file import PatternFileError, default_patterns, read_patterns

_BEHIND = {Tier.MODEL: "local classifier", Tier.LLM: "LLM"}
_MOST_FREQUENT = 10
_SHOWN_CHARACTERS = 200

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    app_name: Annotated[str | None, typer.Option("--app", help="the app's name")] = None,
    title: Annotated[str | None, typer.Option(help="the window's title, where it is one that is read")] = None,
    url: Annotated[str | None, typer.Option(help="the URL, of a browser")] = None,
    file: Annotated[
        str | None, typer.Option(help="JSON lines with app, title and url, each of which may be missing; -: stdin")
    ] = None,
    patterns: Annotated[
        str | None,
        typer.Option(help="a pattern file in place of the default patterns; PATTERN_FILE adds to it as to these"),
    ] = None,
    rules_only: Annotated[bool, typer.Option("--rules-only", help="ask only the rules")] = False,
    why: Annotated[bool, typer.Option("--why", help="trace the decision step by step")] = False,
    as_json: Json = False,
) -> None:
    """Classifies one window, or all windows of a file.

    With --file --json, it prints a line with category, tier and pattern for each line that is not blank. All three
    are null if nothing decided. `provisional` is true if the pattern cannot know and nothing that was asked knew
    better. A line that is not a window has an error as well, and makes the exit code 1.
    """
    alone = app_name is not None or title is not None or url is not None
    if alone == (file is not None):
        fail("Say what to classify: --app, --title and --url, or --file", 2)
    if file is not None and why:
        fail("--why is for one window, not for --file", 2)
    chosen = _patterns(patterns)
    snapshot = _snapshot(chosen)
    with nullcontext() if rules_only or not may_be_configured() else _behind(chosen) as behind:
        if file is None:
            _show(snapshot, behind, WindowLine(app_name, title, url).window, why, as_json)
            return
        code = _classify_file(snapshot, behind, file, as_json)
    raise typer.Exit(code)


def _behind(patterns: Sequence[CategoryPattern]) -> OfflineClassifier:
    with _wrong_settings_end():
        return OfflineClassifier(patterns, _Complaints())


@contextmanager
def _wrong_settings_end() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        from infrastructure.settings import SettingsError  # slow to import, and seldom needed

        if isinstance(error, SettingsError):
            fail(f"Wrong settings:\n{error}", 2)
        raise


class _Complaints(ClassifierObserver):
    """Prints errors on stderr, each one once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    @override
    def llm_failed(self, windows: int, cause: Exception) -> None:
        self._say(f"llm failed: {cause}")

    @override
    def llm_paused(self, reason: PauseReason, seconds: float) -> None:
        self._say(f"llm paused: {reason}")

    @override
    def tier_failed(self, tier: Tier, cause: Exception) -> None:
        self._say(f"tier failed: {cause}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            say(printable(text), err=True)


def _patterns(file: str | None) -> Sequence[CategoryPattern]:
    try:
        return default_patterns() if file is None else read_patterns(Path(file).read_bytes())
    except OSError as error:
        fail(f"{file}: {error.strerror}", 2)
    except PatternFileError as error:
        fail("\n".join(f"{file}: {printable(line)}" for line in str(error).split("\n")), 2)


def _snapshot(patterns: Sequence[CategoryPattern]) -> PatternSnapshot:
    with _wrong_settings_end():
        snapshot = snapshot_of(patterns)
    for problem in snapshot.rules.problems:
        say(printable(f"skipped {problem.pattern!r} of {problem.category}: {problem.reason}"), err=True)
    return snapshot


# ------------------------------------------------------------------------------------------ one window


def _show(
    snapshot: PatternSnapshot, behind: OfflineClassifier | None, window: Window, why: bool, as_json: bool
) -> None:
    found = snapshot.provisionally(window)
    asked = behind.would_ask(window) if behind and (found is None or found.provisional) else []
    answer = behind.classify({window}).get(window, found) if behind and asked else found
    matches = snapshot.rules.candidates(*window)
    others = matches[1:] if isinstance(answer, RuleMatch) else matches
    trace = explain(snapshot.rules, window) if why else None
    if as_json:
        document = answer_document(answer) | {"also": [answer_document(other) for other in others]}
        if trace is not None:
            document["why"] = trace_document(trace)
        print_json(document)
        return
    if answer is None:
        say("No tier decides." if asked else "No rule matches.")
    else:
        say(printable(f"{answer.category}: {_decider(answer)}"))
    for other in others:
        say(printable(f"also matches: {other.category}, {_decider(other)}"))
    if trace is not None:
        for line in _trace_lines(window, trace):
            say(line)
        say("Behind the rules")
        say(f"  {_said_behind(found, answer, asked)}")


def _decider(answer: Answer) -> str:
    if isinstance(answer, Classification):
        return f"the {_BEHIND[answer.tier]}"
    return f"{answer.tier} pattern {answer.pattern}" + (", provisionally" if answer.provisional else "")


def _said_behind(found: RuleMatch | None, answer: Answer | None, asked: Sequence[Tier]) -> str:
    names = " and ".join(_BEHIND[tier] for tier in asked)
    if isinstance(answer, Classification):
        return f"asked: the {names}; the {_BEHIND[answer.tier]} decides"
    if asked:
        return f"asked: the {names}; no answer"
    if found is None or found.provisional:
        return "local classifier and LLM would be asked, but there is none here, or the window is private"
    return "nothing is asked: the rules decide for good"


def _trace_lines(window: Window, trace: Trace) -> list[str]:
    name = " ".join(trace.words[: len(trace.words) - len(trace.qualifiers)])
    lines = ["", "URL, without user info, port, query and fragment"]
    lines += [f"  host  {trace.host or '-'}", f"  path  {trace.path or '-'}"] if window.url else ["  none"]
    lines += ["App"]
    lines += (
        [f"  name  {name or '-'}", f"  may be left off  {_listed(trace.qualifiers)}"] if window.app else ["  none"]
    )
    lines += ["Title, without what the browser added"]
    lines += ["  not read" if trace.segments is None else f"  {' | '.join(trace.segments) or '-'}"]
    lines += ["Note", f"  {trace.note}"] if trace.note else []
    lines += ["Matches, best first" if trace.matched else "Nothing matches"]
    for number, (rule, reason) in enumerate(trace.matched, 1):
        priority = "none" if rule.priority is None else rule.priority
        lines.append(f"  {number}. {rule.tier} pattern {rule.pattern}: {rule.category}, priority {priority}")
        lines.append(f"     {reason}")
    lines += ["Begin the name, but do not match"] if trace.missed else []
    for rule, reason in trace.missed:
        lines += [f"  {rule.tier} pattern {rule.pattern}: {rule.category}", f"     {reason}"]
    return [_cut(line) for line in lines]


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "-"


def _cut(line: str) -> str:
    text = printable(line[:_SHOWN_CHARACTERS])
    return text if len(line) <= _SHOWN_CHARACTERS else text + "…"


# ---------------------------------------------------------------------------------------------- a file


@interruptible()  # so that the bar gives the terminal its cursor back
def _classify_file(snapshot: PatternSnapshot, behind: OfflineClassifier | None, file: str, as_json: bool) -> int:
    try:
        opened = nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")  # noqa: SIM115
        size = os.stat(file).st_size if os.path.isfile(file) else None
    except OSError as error:
        fail(f"{file}: {error.strerror}", 2)
    tally, bad, started = Tally(), 0, perf_counter()
    with opened as source, progress(hidden=as_json and sys.stdout.isatty(), in_bytes=True) as bar:
        task = bar.add_task("classifying", total=size)
        for windows in read_windows(source):
            found = decide(snapshot, behind, windows)
            if as_json:
                sys.stdout.buffer.write(b"".join(map(_line, windows, found)))
            else:
                tally.add(windows, found)
            for window in windows:
                if isinstance(window, BadLine):
                    bad += 1
                    say(f"line {window.number}: {printable(window.reason)}", err=True)
            if size:
                bar.update(task, completed=source.tell())
    if as_json:
        sys.stdout.buffer.flush()
    else:
        _print_tally(tally, perf_counter() - started)
    return 1 if bad else 0


def _line(window: WindowLine | BadLine, found: Answer | None) -> bytes:
    if isinstance(window, BadLine):
        return json_line(answer_document(None) | {"error": window.reason})
    return _found_line(found)


@cache
def _found_line(found: Answer | None) -> bytes:
    return json_line(answer_document(found))


def _print_tally(tally: Tally, seconds: float) -> None:
    total = tally.total
    _print_counts("Tier", tally.tiers + Counter({"unknown": tally.unknown}), total)
    _print_counts("Category", tally.categories, total)
    _print_counts("Unknown host", tally.unknown_hosts, total, _MOST_FREQUENT)
    _print_counts("Unknown app, without a host", tally.unknown_apps, total, _MOST_FREQUENT)
    say(f"{counted(total, 'window')} in {duration(seconds)}, {total / seconds:,.0f} a second")


def _print_counts(heading: str, counts: Counter[str], total: int, rows: int | None = None) -> None:
    if not counts:
        return
    cells = [(_cut(name), f"{count:,}", share(count / total)) for name, count in counts.most_common(rows)]
    print_tables(table((heading, "Windows", "Share"), cells, ("Windows", "Share"), min_width=50))
    if rows is not None and len(counts) > rows:
        say(f"and {len(counts) - rows:,} more")
    say("")


if __name__ == "__main__":
    app()
