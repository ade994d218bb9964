"""Parses every LogQL expression of the dashboards and of Loki's rules with Grafana's own parser.

npm install --prefix .data/logql @grafana/lezer-logql && python -m tests.logql .data/logql
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
_PARSE = """
import { parser } from "@grafana/lezer-logql";
const wrong = [];
for (const [where, text] of JSON.parse(process.argv[1])) {
  parser.parse(text).iterate({ enter(node) {
    if (node.type.isError) wrong.push(`${where}: ${text.slice(0, node.from)} >>> ${text.slice(node.from)}`);
  } });
}
for (const line of wrong) console.error(line);
process.exit(wrong.length ? 1 : 0);
"""


def expressions() -> Iterator[tuple[str, str]]:
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"] if panel["datasource"]["type"] == "loki" else ():
                yield f"{path.name}, {panel['title']}", target["expr"].replace("$__auto", "5m")
    for path in sorted((DEPLOY / "loki" / "rules").rglob("*.yaml")):
        for rule in [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]:
            yield f"{path.name}, {rule['alert']}", rule["expr"]


def main(modules: str) -> int:
    found = list(expressions())
    command = ["node", "--input-type=module", "-e", _PARSE, json.dumps(found)]
    code = subprocess.run(command, cwd=modules).returncode
    print(f"{len(found)} expressions in LogQL {'are right' if code == 0 else 'were looked at'}")
    return code or int(not found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
