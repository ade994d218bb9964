"""Registrable domains by the list of public suffixes that the package `publicsuffixlist` brings along."""

from publicsuffixlist import PublicSuffixList


class PublicSuffixes:
    """RegistrableDomainsPort. A top-level domain that is not in the list has no registrable domains."""

    def __init__(self) -> None:
        self._list = PublicSuffixList(accept_unknown=False)

    def of(self, host: str) -> str:
        return self._list.privatesuffix(host) or ""
