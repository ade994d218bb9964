"""The browsers, by the names that their windows have on Windows, macOS and Linux, and whose tabs are theirs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class _Browser(NamedTuple):
    """`taken_for` is the browser that the extension believes to be in, if it cannot tell them apart."""

    names: str
    taken_for: str = ""


_BROWSERS = {
    "chrome": _Browser(
        "chrome google-chrome google-chrome-stable google-chrome-beta google-chrome-dev google-chrome-unstable "
        "google-chrome-canary com.google.chrome com.google.chromedev"
    ),
    "chromium": _Browser(
        "chromium chromium-browser chromium-browser-chromium ungoogled-chromium org.chromium.chromium", "chrome"
    ),
    "whale": _Browser("whale naver-whale naver-whale-stable 네이버-웨일 웨일", "chrome"),
    "arc": _Browser("arc company.thebrowser.browser", "chrome"),
    "dia": _Browser("dia company.thebrowser.dia", "chrome"),
    "helium": _Browser("helium net.imput.helium", "chrome"),
    "edge": _Browser(
        "msedge microsoft-edge microsoft-edge-stable microsoft-edge-beta microsoft-edge-dev microsoft-edge-canary "
        "com.microsoft.edge com.microsoft.edgedev"
    ),
    "brave": _Browser("brave brave-browser brave-browser-beta brave-browser-nightly com.brave.browser"),
    "opera": _Browser("opera opera-gx opera-stable com.opera.opera"),
    "vivaldi": _Browser("vivaldi vivaldi-stable vivaldi-snapshot com.vivaldi.vivaldi"),
    "yandex": _Browser("yandex yandex-browser ru.yandex.browser"),
    "safari": _Browser("safari safari-technology-preview"),
    "orion": _Browser("orion"),
    "firefox": _Browser(
        "firefox mozilla-firefox firefox-esr firefox-esr-esr128 firefox-esr-esr140 firefox-beta "
        "firefox-developer-edition firefoxdeveloperedition firefox-aurora firefox-nightly firefox-trunk-dev nightly "
        "navigator org.mozilla.firefox"
    ),
    "librewolf": _Browser("librewolf librewolf-portable librewolf-default io.gitlab.librewolf-community", "firefox"),
    "waterfox": _Browser("waterfox net.waterfox.waterfox", "firefox"),
    "zen": _Browser("zen zen-browser zen-alpha zen-beta app.zen-browser.zen", "firefox"),
    "floorp": _Browser("floorp one.ablaze.floorp", "firefox"),
}
"""By the names that the extension gives them. Sources: browser_appnames of aw-webui, detectBrowser of
aw-watcher-web. Small letters, hyphens for spaces and underscores, and without ".exe"."""

_BY_APP = {name: browser for browser, it in _BROWSERS.items() for name in it.names.split()}


def tabs_of(app: str, tabs: Mapping[str, Sequence[T]]) -> Sequence[T]:
    """The tabs of the browser that a window's app is: those of its own recorder, else of the browser that it is taken
    for, else of one that does not say which browser it is in. None of an app that is no browser."""
    browser = _BY_APP.get(app.lower().removesuffix(".exe").replace(" ", "-").replace("_", "-"))
    if browser is None:
        return ()
    found = (tabs[it] for it in (browser, _BROWSERS[browser].taken_for, "") if it in tabs)
    return next(found, ())
