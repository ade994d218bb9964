"""Finds the Chromium on PATH with which the page's tests open the console."""

import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)
