"""Says which category a window has, and why. It uses the rules, the local classifier and the LLM, but no store.

python -m cmd.classify --app "IntelliJ IDEA 2024.2" --why
"""

import os
import sys
from cmd._output import Json, fail, json_line, print_json, print_tables, progress, say, table
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from typing_extensions import override

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.explain import Trace, explain
from domains.patternClassifier.model import Classification, PauseReason, Tier
from domains.patternClassifier.ports import ClassifierObserver
from domains.patternClassifier.rules import RuleMatch, RuleSet
from infrastructure.http.explanations import answer_document, trace_document
from infrastructure.observing.printable import printable
from infrastructure.offline.offline_classifier import Answer, OfflineClassifier, decide, may_be_there
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
    title: Annotated[str | None, typer.Option(help="the window's title; the rules do not look at it")] = None,
    url: Annotated[str | None, typer.Option(help="the URL, of a browser")] = None,
    file: Annotated[
        str | None, typer.Option(help="JSON lines with app, title and url, each of which may be missing; -: stdin")
    ] = None,
    patterns: Annotated[
        str | None,
        typer.Option(
            help="another set of patterns: a JSON array of {category, priority, appPatterns, domainPatterns}"
        ),
    ] = None,
    rules_only: Annotated[bool, typer.Option("--rules-only", help="ask only the rules")] = False,
    why: Annotated[bool, typer.Option("--why", help="trace the decision step by step")] = False,
    as_json: Json = False,
) -> None:
    """Classifies one window, or all windows of a file.

    With --file --json, it prints a line with category, tier and pattern for each line that is not blank. All three
    are null if nothing decided. A line that is not a window has an error as well, and makes the exit code 1.
    """
    alone = app_name is not None or title is not None or url is not None
    if alone == (file is not None):
        fail("Say what to classify: --app, --title and --url, or --file", 2)
    if file is not None and why:
        fail("--why is for one window, not for --file", 2)
    chosen = _patterns(patterns)
    rules = _rules(chosen)
    with nullcontext() if rules_only or not may_be_there() else _behind(chosen) as behind:
        if file is None:
            _show(rules, behind, WindowLine(app_name, title, url), why, as_json)
            return
        code = _classify_file(rules, behind, file, as_json)
    raise typer.Exit(code)


def _behind(patterns: Sequence[CategoryPattern]) -> OfflineClassifier:
    from infrastructure.settings import SettingsError

    try:
        return OfflineClassifier(patterns, _Complaints())
    except SettingsError as error:
        fail(f"Wrong settings (--rules-only does without them):\n{error}", 2)


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


def _rules(patterns: Sequence[CategoryPattern]) -> RuleSet:
    rules = RuleSet(patterns)
    for problem in rules.problems:
        say(printable(f"skipped {problem.pattern!r} of {problem.category}: {problem.reason}"), err=True)
    return rules


# ------------------------------------------------------------------------------------------ one window


def _show(rules: RuleSet, behind: OfflineClassifier | None, window: WindowLine, why: bool, as_json: bool) -> None:
    name, url = window.app or "", window.url or ""
    (found,) = decide(rules, behind, [window])
    matches = rules.candidates(name, url)
    others = matches[1:] if matches and found == matches[0] else matches
    trace = explain(rules, name, url) if why else None
    if as_json:
        document = answer_document(found) | {"also": [answer_document(other) for other in others]}
        if trace is not None:
            document["why"] = trace_document(trace)
        print_json(document)
        return
    if found is None:
        say("No rule matches." if behind is None else "No tier decides.")
    elif isinstance(found, RuleMatch):
        say(printable(f"{found.category}: {found.tier} pattern {found.pattern}"))
    else:
        say(printable(f"{found.category}: the {_BEHIND[found.tier]}"))
    for other in others:
        say(printable(f"also matches: {other.category}, {other.tier} pattern {other.pattern}"))
    if trace is not None:
        for line in _trace_lines(window, trace):
            say(line)
        say("Behind the rules")
        say("  nothing was asked" if behind is None else f"  asked: {_said_behind(found)}")


def _said_behind(found: Answer | None) -> str:
    if isinstance(found, Classification):
        return f"the {_BEHIND[found.tier]} decides"
    return "the rules decide before" if found else "no answer"


def _trace_lines(window: WindowLine, trace: Trace) -> list[str]:
    name = " ".join(trace.words[: len(trace.words) - len(trace.qualifiers)])
    lines = ["", "URL, without user info, port, query and fragment"]
    lines += [f"  host  {trace.host or '-'}", f"  path  {trace.path or '-'}"] if window.url else ["  none"]
    lines += ["App"]
    lines += (
        [f"  name  {name or '-'}", f"  may be left off  {_listed(trace.qualifiers)}"] if window.app else ["  none"]
    )
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


def _classify_file(rules: RuleSet, behind: OfflineClassifier | None, file: str, as_json: bool) -> int:
    try:
        opened = nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")  # noqa: SIM115
        size = os.stat(file).st_size if os.path.isfile(file) else None
    except OSError as error:
        fail(f"{file}: {error.strerror}", 2)
    tally, bad, started = Tally(), 0, perf_counter()
    with opened as source, progress(hidden=as_json and sys.stdout.isatty(), in_bytes=True) as bar:
        task = bar.add_task("classifying", total=size)
        for windows in read_windows(source):
            found = decide(rules, behind, windows)
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
    say(f"{total:,} windows in {seconds:.1f} s, {total / seconds:,.0f} a second")


def _print_counts(heading: str, counts: Counter[str], total: int, rows: int | None = None) -> None:
    if not counts:
        return
    cells = [(_cut(name), f"{count:,}", f"{count / total:.1%}") for name, count in counts.most_common(rows)]
    print_tables(table((heading, "Windows", "Share"), cells, ("Windows", "Share"), min_width=50))
    if rows is not None and len(counts) > rows:
        say(f"and {len(counts) - rows:,} more")
    say("")


if __name__ == "__main__":
    app()
