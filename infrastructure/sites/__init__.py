"""Looking at sites: public suffixes, which addresses may be connected to, the fetcher, and the parser of pages.

Needs the packages of the extra `sites`, so it is imported only where SITE_PROFILES is on.
"""
