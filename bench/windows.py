"""How right the rules are on labelled windows: `python bench/windows.py FILE.jsonl [--rows right|wrong|unknown]`.

A line is `{"app", "title", "url", "want", "also", "kind"}`: the category that people would give, those that are
accepted beside it, and what makes the window difficult. `unknown` stands for no answer, and a provisional one counts
as that. An answer is right if it is wanted or accepted. Otherwise no answer counts as unknown, and any other as
wrong.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains.categoryPattern.model import UNCATEGORIZED
from domains.kernel.window import Window
from domains.patternClassifier.snapshot import PatternSnapshot
from infrastructure.patterns.pattern_file import default_additions, default_patterns
from infrastructure.patterns.sites import known_sites

UNKNOWN = "unknown"
VERDICTS = ("right", "wrong", UNKNOWN)


def answer(snapshot: PatternSnapshot, row: dict[str, Any]) -> str:
    """The category that the rules decide for good."""
    found = snapshot.by_rules(Window(row["app"], row.get("url", ""), row.get("title", "")))
    return UNKNOWN if found is None or found.category == UNCATEGORIZED else found.category


def verdict(said: str, row: dict[str, Any]) -> str:
    if said in (row["want"], *row.get("also", ())):
        return "right"
    return UNKNOWN if said == UNKNOWN else "wrong"


def main(path: str, *options: str) -> None:
    snapshot = PatternSnapshot(default_patterns(), default_additions(), sites=known_sites())
    shown = options[1:] if options[:1] == ("--rows",) else ()
    kinds: dict[str, Counter[str]] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        said = answer(snapshot, row)
        found = verdict(said, row)
        kinds.setdefault(row.get("kind", ""), Counter())[found] += 1
        if found in shown:
            print(
                f"{found:8}{row.get('kind', ''):26}{row['want']:22}{said:22}",
                row["app"],
                row["title"],
                row["url"],
                sep="  ",
            )
    print(f"{'':26}" + "".join(f"{name:>10}" for name in VERDICTS))
    for kind, counts in [*sorted(kinds.items()), ("all", sum(kinds.values(), Counter()))]:
        print(f"{kind:26}" + "".join(f"{counts[name]:10}" for name in VERDICTS))
    shares = sum(kinds.values(), Counter())
    print(f"{'':26}" + "".join(f"{shares[name] / shares.total():10.1%}" for name in VERDICTS))


if __name__ == "__main__":
    main(*sys.argv[1:])
