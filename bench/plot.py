"""The plot: `python -m bench.plot RESULTS.json OUT.png`, or `python -m bench --plot OUT.png`.

It needs only matplotlib and no other part of this project, so any Python with matplotlib can run it.
"""

import json
import sys
from pathlib import Path
from typing import Any

HOW_TO_GET_IT = "matplotlib is missing: pip install matplotlib, then python -m bench.plot RESULTS.json OUT.png"

_BLUE, _GREY, _RED = "#2f6fab", "#9aa5b1", "#c0504d"


def draw(result: dict[str, Any], file: Path) -> None:
    """Draws the plot. Raises ImportError without matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    panels = [(part, panel) for part, panel in _PANELS.items() if part in result["parts"]]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.2 * len(panels), 4.4), squeeze=False)
    for axis, (part, panel) in zip(axes[0], panels, strict=True):
        panel(axis, result["parts"][part])
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.25)
    figure.suptitle(result["command"], fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=130)


def _ceiling(axis: Any, figures: dict[str, Any]) -> None:
    shares = {"by the clock": "share_of_ceiling", "by CPU": "share_of_ceiling_by_cpu"}
    _bars(axis, {label: figures[name] for label, name in shares.items()}, _BLUE)
    axis.axhline(0.6, color=_RED, linestyle="--", linewidth=1)
    axis.axhline(1.0, color=_GREY, linewidth=1)
    axis.set_title("(a)/(b) share of the ceiling")


def _n_plus_one(axis: Any, figures: dict[str, Any]) -> None:
    _bars(axis, {f"{ms} ms": part["ratio"] for ms, part in figures.items()}, _BLUE)
    axis.axhline(50, color=_RED, linestyle="--", linewidth=1)
    axis.set_yscale("log")
    axis.set_xlabel("emulated round trip")
    axis.set_title("(c) times one at a time")


def _latency(axis: Any, figures: dict[str, Any]) -> None:
    rates = list(figures)
    middle = {rate: sorted(runs, key=lambda run: run["p99"])[len(runs) // 2] for rate, runs in figures.items()}
    for offset, (name, colour) in enumerate({"p50": _GREY, "p99": _BLUE, "p99.9": _RED}.items()):
        positions = [index + offset * 0.27 - 0.27 for index in range(len(rates))]
        axis.bar(positions, [middle[rate][name] for rate in rates], 0.25, label=name, color=colour)
    axis.set_xticks(range(len(rates)), rates)
    axis.set_yscale("log")
    axis.set_xlabel("messages/s")
    axis.set_ylabel("ms")
    axis.legend(frameon=False)
    axis.set_title("(d) XADD to visible")


def _instances(axis: Any, figures: dict[str, Any]) -> None:
    _bars(axis, {"2 / 1": figures["ratio"], "at most, by CPU": figures["possible_on_these_cores"]}, _BLUE)
    axis.axhline(1.6, color=_RED, linestyle="--", linewidth=1)
    axis.set_title("(e) instances")


def _embedded(axis: Any, figures: dict[str, Any]) -> None:
    _bars(axis, {"embedded / deployed": figures["ratio"]}, _BLUE)
    axis.axhline(1.0, color=_GREY, linewidth=1)
    axis.set_title("(f) embedded stores")


_PANELS = {"a": _ceiling, "c": _n_plus_one, "d": _latency, "e": _instances, "f": _embedded}


def _bars(axis: Any, spreads: dict[str, dict[str, Any]], colour: str) -> None:
    """Medians, each with a line from the lowest to the highest value."""
    middles = [spread["median"] for spread in spreads.values()]
    below = [spread["median"] - min(spread["values"]) for spread in spreads.values()]
    above = [max(spread["values"]) - spread["median"] for spread in spreads.values()]
    axis.bar(list(spreads), middles, 0.5, color=colour, yerr=[below, above], ecolor="black", capsize=4)
    for index, middle in enumerate(middles):
        axis.annotate(
            f"{middle:.3g}", (index, middle), ha="left", va="bottom", xytext=(5, 2), textcoords="offset points"
        )


if __name__ == "__main__":
    try:
        draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
    except ImportError:
        sys.exit(HOW_TO_GET_IT)
