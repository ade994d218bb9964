"""How domain patterns match URLs: table rows with their reasons, for the engine and the referee alike."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.urls import LONGEST_URL, parse_pattern, split_url
from tests.unit import naive_matcher

URL_ROWS = [
    # pattern, url, matches, reason
    # -- hosts
    ("figma.com", "https://figma.com", True, "the host itself"),
    ("figma.com", "https://www.figma.com/files?x=1#y", True, "a host below it"),
    ("figma.com", "https://a.b.c.figma.com/", True, "a host far below it"),
    ("figma.com", "FIGMA.com.:8443", True, "case, final dot and port do not count"),
    ("figma.com", "figma.com", True, "no scheme"),
    ("figma.com", "//figma.com/x", True, "scheme-relative"),
    ("figma.com", "http:figma.com", True, "browsers add the slashes of a web scheme"),
    ("figma.com", "https:///figma.com", True, "and drop one too many"),
    ("figma.com", "HTTPS://FIGMA.COM/", True, "an upper-case scheme"),
    ("figma.com", "  https://figma.com \n", True, "space around it"),
    ("figma.com", "https://fig\nma.com/", True, "browsers drop line breaks and tabs"),
    ("figma.com", "https:\\\\figma.com\\file", True, "browsers read backslashes as slashes"),
    ("figma.com", "https://user:secret@figma.com:443/", True, "behind user info"),
    ("figma.com", "user@figma.com/x", True, "user info without a scheme"),
    ("figma.com", "user:secret@figma.com:443/x", True, "with a password, which looks like a scheme"),
    ("figma.com", "mailto:me@figma.com", False, "an address of mail is no place"),
    ("figma.com", "https://fi%67ma%2Ecom/", True, "a percent-encoded host"),
    ("figma.com", "https://ｆｉｇｍａ．com/", True, "full-width letters"),
    ("figma.com", "https://figma。com/", True, "the ideographic full stop"),
    ("figma.com", "wss://figma.com/socket", True, "another scheme with hosts"),
    ("figma.com", "view-source:https://figma.com/", True, "the address inside"),
    ("figma.com", "blob:https://figma.com/0d1c-2e", True, "the page the blob belongs to"),
    ("figma.com", "https://a@b@figma.com/", True, "the last at sign ends the user info"),
    ("figma.com", "https://@figma.com/", True, "empty user info"),
    ("figma.com", "https://figma.com?@evil.io", True, "a query ends the host"),
    ("figma.com", "https://figma.com\x00", True, "control characters around it"),
    ("figma.com", "https://\ud800.figma.com/", True, "half a character in a host below it"),
    ("figma.com", "https://figma..com/", False, "an empty label"),
    ("figma.com", f"https://{'a.' * 122}figma.com/", True, "a host of 253 characters"),
    ("figma.com", f"https://{'a.' * 122}afigma.com/", False, "a longer one does not exist"),
    ("figma.com", f"https://{'a.' * 122}b.figma.com/", False, "nor does it below a host"),
    ("한글.kr", f"https://{'%ED%95%9C' * 240}.한글.kr/", True, "percent signs make it no longer"),
    ("figma.com", "https://f\u0456gma.com/", False, "a Cyrillic letter that looks alike"),
    ("figma.com", "https://figma.com%2Fevil.io/", False, "an encoded slash does not end the host"),
    ("figma.com", "https://figma.com%2F@evil.io/", False, "nor the user info"),
    ("figma.com", "https://figma.com%00.evil.io/", False, "nor does an encoded NUL"),
    ("figma.com", "C:\\Users\\me\\figma.com", False, "a path of Windows is no host"),
    ("figma.com", "https://notfigma.com", False, "not at a label boundary"),
    ("figma.com", "https://my-figma.com", False, "a hyphen is no label boundary"),
    ("figma.com", "https://figma.com.evil.io/", False, "only the end of the host counts"),
    ("figma.com", "https://figma.community/", False, "the last label is another"),
    ("figma.com", "https://evil.io/figma.com", False, "a path is no host"),
    ("figma.com", "https://evil.io/x.figma.com/", False, "not even with a dot before it"),
    ("figma.com", "https://evil.io//figma.com/", False, "nor after two slashes"),
    ("figma.com", "https://evil.io/%01/.figma.com%01/", False, "nor with the automaton's own sentinel"),
    ("figma.com", "https://evil.io/?next=https://figma.com/", False, "a query is no host"),
    ("figma.com", "https://evil.io?figma.com", False, "a query straight after the host"),
    ("figma.com", "https://evil.io#figma.com", False, "a fragment is no host"),
    ("figma.com", "https://evil.io#@figma.com/", False, "nor does it hold user info"),
    ("figma.com", "https://figma.com@evil.io/", False, "user info is no host"),
    ("figma.com", "https://figma.com:443@evil.io/", False, "user info with a password"),
    ("figma.com", "https://evil.io\\@figma.com/", False, "the backslash ended the host before"),
    ("figma.com", "https://blob:figma.com/", False, "only at the beginning is blob: a scheme"),
    ("figma.com", "https://figma.com:port/", False, "no browser opens a port that is no number"),
    ("figma.com", "https://fig ma.com/", False, "a space is in no host"),
    ("figma.com", "https://xn--figma-.com/", False, "no punycode of IDNA, so no figma"),
    ("figma.com", "mailto:someone@figma.com", False, "mail is no place"),
    ("figma.com", "data:text/html,https://figma.com/", False, "content, not a place"),
    ("figma.com", "javascript:location='https://figma.com/'", False, "code, not a place"),
    ("figma.com", "file:///home/me/figma.com/a.html", False, "a file's path is no host"),
    ("figma.com", "file://figma.com/share/a.html", False, "a file server is no site"),
    ("figma.com", "chrome-extension://abcdef/figma.com/", False, "the extension is the host"),
    ("figma.com", "http://https://figma.com/", False, "the host is `https`"),
    ("x.com", "https://fedex.com/", False, "the first version's mistake"),
    ("x.com", "https://x.com/home", True, "a host of one letter"),
    ("mail.google.com", "https://google.com/", False, "the pattern is below the host"),
    ("co.kr", "https://shop.co.kr/", True, "administrators may want a whole suffix"),
    ("a_b.example.com", "https://a_b.example.com/", True, "an underscore, as some hosts have"),
    # -- addresses inside addresses
    ("figma.com", "chrome-extension://abcdef/https://figma.com/file", True, "shown by an extension"),
    ("figma.com", "moz-extension://0-1/view.html?file=https%3A%2F%2Ffigma.com%2Fa.pdf", True, "in its query"),
    ("figma.com", "chrome-extension://abc/suspended.html#ttl=x&uri=https://figma.com/", True, "in its fragment"),
    ("figma.com", "about:reader?url=https%3A%2F%2Ffigma.com%2Fblog", True, "Firefox's reader view"),
    ("figma.com", "read://https_figma.com/?url=https%3A%2F%2Ffigma.com%2F", True, "Edge's"),
    ("figma.com", "view-source:about:reader?url=https://figma.com/", True, "and its source"),
    ("figma.com/file", "https://web.archive.org/web/20230101000000/https://figma.com/file/1", True, "an archive"),
    ("figma.com", "https://web.archive.org/web/2019/www.figma.com/", True, "without a scheme"),
    ("figma.com", "https://web.archive.org/web/2019id_/http:/figma.com/", True, "and with one slash"),
    ("figma.com", "https://archive.ph/2023.01.01-120000/https://figma.com/", True, "another archive"),
    ("archive.org", "https://web.archive.org/", True, "the archive itself"),
    ("archive.org", "https://web.archive.org/web/2019/", True, "without a page"),
    ("figma.com", "https://figma-com.translate.goog/file?_x_tr_sl=en", True, "translated by Google"),
    ("my-site.figma.com", "https://my--site-figma-com.translate.goog/", True, "two hyphens stand for one"),
    ("figma.com", "https://translate.google.com/translate?sl=en&u=https://figma.com/", True, "the older form"),
    ("figma.com", "https://translate.google.com/?sl=en&text=https://figma.com/", False, "a text to translate"),
    ("figma.com", "https://papago.naver.net/website?source=en&url=https%3A%2F%2Ffigma.com", True, "by Papago"),
    ("figma.com", "https://www.google.com/url?sa=t&url=https%3A%2F%2Ffigma.com%2F", True, "a redirect"),
    ("figma.com", "https://www.google.co.kr/url?q=https://figma.com/&ved=1", True, "of another country"),
    ("figma.com", "https://l.facebook.com/l.php?u=https%3A%2F%2Ffigma.com%2F&h=x", True, "of another site"),
    ("figma.com", "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Ffigma.com", True, "of mail"),
    ("google.com", "https://www.google.com/url?q=figma", True, "a word is no address"),
    ("figma.com", "https://login.example.com/?url=https://figma.com/", False, "a page that only mentions one"),
    ("figma.com", "https://evil.io/?q=1&u=https://figma.com/", False, "whatever the parameter is called"),
    ("figma.com/blog", "https://www.google.com/amp/s/figma.com/blog", True, "AMP at Google"),
    ("figma.com", "https://www-figma-com.cdn.ampproject.org/c/s/www.figma.com/blog", True, "AMP's cache"),
    ("figma.com", "https://web.archive.org/web/2020/https://www.google.com/url?q=https://figma.com/", True, "twice"),
    ("figma.com", "view-source:https://web.archive.org/web/2020/" * 9 + "https://figma.com/", False, "too often"),
    # -- local files
    ("file:///*.pdf", "file:///Users/me/lecture.PDF", True, "a local document"),
    ("file:///*.pdf", "C:\\Users\\me\\lecture.pdf", True, "as Windows writes it"),
    ("file:///*.pdf", "chrome-extension://abcdef/file:///tmp/lecture%201.pdf#page=2", True, "in a viewer"),
    ("file:///*.pdf", "https://example.com/lecture.pdf", False, "not local"),
    ("file:///*.pdf", "file:///Users/me/pdf", False, "no extension"),
    ("file:///*.pdf", "file:///Users/me.pdf/lecture.html", False, "a folder's"),
    # -- how administrators write them
    ("https://www.figma.com/", "https://figma.com/x", True, "scheme, www. and slash fall away"),
    ("WWW.Figma.COM", "app.figma.com", True, "case falls away"),
    ("*.figma.com", "https://figma.com/", True, "`*.` is what a host means anyway"),
    (".figma.com", "https://www.figma.com/", True, "a leading dot, as in cookies"),
    ("figma.com.", "https://figma.com/", True, "a final dot"),
    ("  figma.com ", "https://figma.com/", True, "space around it"),
    ("figma.com:443", "https://figma.com/", True, "a port is not compared"),
    ("figma.com/*", "https://figma.com/file", True, "the wildcard that says anything"),
    ("*://*.figma.com/*", "https://www.figma.com/file", True, "a browser's match pattern"),
    ("https://*.figma.com", "https://figma.com/file", True, "a wildcard behind a scheme"),
    ("www.com", "https://www.com/", True, "a site that is called www"),
    # -- paths
    ("google.com/search", "https://www.google.com/search?q=a", True, "the path itself"),
    ("google.com/search", "https://google.com/search/advanced", True, "a path below it"),
    ("google.com/search", "https://google.com/SEARCH/", True, "any case, a final slash"),
    ("google.com/search", "https://google.com:443/search#top", True, "with a port"),
    ("google.com/search", "https://google.com/%73earch", True, "percent-encoded"),
    ("google.com/search", "https://google.com//search", True, "an empty segment says nothing"),
    ("google.com/search", "https://google.com/x/../search", True, "as the browser resolves it"),
    ("google.com/search", "https://google.com/x/%2e%2E/./search", True, "dots in percent signs are dots"),
    ("google.com/search", "https://google.com\\search", True, "a backslash for a slash"),
    ("google.com/search", "https://google.com/searching", False, "not at a segment boundary"),
    ("google.com/search", "https://google.com/search.html", False, "another segment"),
    ("google.com/search", "https://google.com/search;v=1", False, "parameters are part of their segment"),
    ("google.com/search", "https://google.com/search%3Fq=a", False, "an encoded question mark begins no query"),
    ("google.com/search", "https://google.com/a/search", False, "the path begins elsewhere"),
    ("google.com/search", "https://google.com/a%2Fsearch", False, "an encoded slash is no boundary"),
    ("google.com/search", "https://google.com/search%2Fa", False, "nor behind it"),
    ("google.com/search", "https://google.com/?/search", False, "a query is no path"),
    ("google.com/search", "https://google.com/#/search", False, "a fragment is no path"),
    ("google.com/search", "https://google.com/", False, "the root alone"),
    ("google.com/search", "https://evil.io/google.com/search", False, "another host's path"),
    (
        "atlassian.net/jira",
        "https://acme.atlassian.net/jira/software/projects",
        True,
        "host below, path below",
    ),
    ("https://www.google.com/search?q=", "https://google.com/search", True, "a pattern's query falls away"),
    ("google.com/search/", "https://google.com/search", True, "a pattern's final slash"),
    ("google.com/a/b", "https://google.com/a/b/c", True, "several segments"),
    ("google.com/a/b", "https://google.com/a/c/b", False, "several segments, all in order"),
    ("namu.wiki/w/한글", "https://namu.wiki/w/%ED%95%9C%EA%B8%80", True, "Korean, percent-encoded"),
    ("namu.wiki/w/%ED%95%9C%EA%B8%80", "https://namu.wiki/w/한글", True, "the same the other way"),
    (
        "namu.wiki/w/한글",
        "https://namu.wiki/w/\u1112\u1161\u11ab\u1100\u1173\u11af",
        True,
        "Korean decomposed",
    ),
    ("localhost/phpmyadmin", "http://localhost:8080/phpmyadmin/", True, "a path at a host of one label"),
    # -- IDN
    ("한국.kr", "https://www.한국.kr/", True, "Unicode in both"),
    ("한국.kr", "https://www.xn--3e0b707e.kr/", True, "punycode in the URL"),
    ("xn--3e0b707e.kr", "https://한국.kr/", True, "punycode in the pattern"),
    ("XN--3E0B707E.KR", "https://xn--3e0b707e.kr/", True, "punycode in both, any case"),
    ("한국.kr", "https://\u1112\u1161\u11ab\u1100\u116e\u11a8.kr/", True, "decomposed"),
    ("한국.kr", "https://%ED%95%9C%EA%B5%AD.kr/", True, "percent-encoded"),
    ("bücher.de", "https://BÜCHER.de/", True, "case beyond ASCII"),
    ("straße.de", "https://xn--strae-oqa.de/", True, "as browsers encode it today"),
    ("straße.de", "https://strasse.de/", False, "another site"),
    ("xn--zzzzzz.kr", "https://xn--zzzzzz.kr/", True, "broken punycode still equals itself"),
    # -- addresses and hosts of one label
    ("10.0.0.1", "http://10.0.0.1:8080/x", True, "IPv4"),
    ("10.0.0.1", "http://110.0.0.1/", False, "another address"),
    ("10.0.0.1", "http://10.0.0.01/", False, "some read a leading zero as octal: no address"),
    ("10.0.0.1", "http://[::ffff:10.0.0.1]/", False, "mapped into IPv6 it is another host"),
    ("0.0.1.2", "http://10.0.0.1.2/", False, "an address has no parent"),
    ("10.0.0.1", "http://5.10.0.0.1/", False, "five numbers are no address"),
    ("10.0.0.1", "http://x.10.0.0.1/", False, "nothing is below an address"),
    ("10.0.0.1/admin", "http://10.0.0.1/admin/users", True, "an address with a path"),
    ("[::1]", "http://[::1]:3000/", True, "IPv6"),
    ("::1", "http://[0:0:0:0:0:0:0:1]/", True, "IPv6 written otherwise"),
    ("2001:DB8::1", "https://[2001:db8::1]/x", True, "IPv6 in another case"),
    ("[::1]", "http://[::2]/", False, "another IPv6 address"),
    ("127.0.0.1", "http://[::1]:3000/", True, "one's own machine in IPv6"),
    ("[::1]", "http://127.0.0.1:3000/", True, "and the other way round"),
    ("figma.com", "http://[fe80::1%.figma.com\x01]/", False, "a zone of IPv6 may hold anything"),
    ("[::1]", "http://[::1/", False, "a bracket left open"),
    ("[::1]", "http://[::1]x/", False, "something behind the bracket"),
    ("localhost", "http://localhost:3000/app", True, "localhost"),
    ("localhost", "localhost:3000", True, "localhost without a scheme"),
    ("localhost", "http://app.localhost/", True, "below localhost"),
    ("localhost:3000", "http://localhost:8080/", True, "a port is not compared here either"),
    ("localhost", "http://localhost.evil.io/", False, "localhost is a host, so its end counts"),
    ("localhost", "https://blog.example.com/localhost", False, "and a path is no host"),
    ("http://intranet/", "http://intranet/wiki", True, "a scheme makes one label a host"),
    ("http://intranet/", "https://example.com/intranet", False, "and no token"),
    (".edu", "https://www.mit.edu/", True, "a leading dot makes one label a host"),
    (".edu", "https://example.com/edu", False, "and no token"),
    ("chrome://newtab", "chrome://newtab/", True, "a browser's own page"),
    ("chrome://newtab", "edge://newtab/", True, "whatever the browser calls itself"),
    ("about:blank", "about:blank", True, "and its older form"),
    # -- tokens
    ("swagger-ui", "https://api.example.com/swagger-ui/index.html", True, "a segment"),
    ("swagger-ui", "https://swagger-ui.example.com/", True, "a label"),
    ("swagger-ui", "https://api.example.com/v1/swagger-ui.html", True, "a segment with an extension"),
    ("swagger-ui", "http://10.0.0.1/swagger-ui", True, "on an address"),
    ("Swagger-UI", "https://example.com/SWAGGER-ui/", True, "any case"),
    ("/swagger-ui/", "https://example.com/docs/swagger-ui", True, "slashes around a token fall away"),
    ("swagger-ui", "file:///home/me/swagger-ui/index.html", False, "a local file is no page of it"),
    ("swagger-ui", "https://example.com/%73wagger-ui/", True, "percent-encoded"),
    ("swagger-ui", "https://example.com/swagger-ui_old", False, "a part of a segment"),
    ("jenkins", "https://www.jenkins-law.com/about", False, "a part of a label"),
    ("jenkins", "https://example.com/katherine-jenkins", False, "the end of a segment"),
    ("jenkins", "https://example.com/jenkins-ci/", False, "the beginning of one"),
    ("jenkins", "https://jenkins/job/1", True, "the whole host"),
    ("jenkins", "https://example.com/v1.jenkins/", False, "behind a dot of the path"),
    ("swagger-ui", "https://example.com/myswagger-ui", False, "a letter before it"),
    ("swagger-ui", "https://example.com/swagger-ui2", False, "a digit after it"),
    ("swagger-ui", "https://example.com/swagger/ui", False, "other words"),
    ("swagger-ui", "https://example.com/?swagger-ui", False, "a query does not count"),
    ("swagger-ui", "https://example.com/#swagger-ui", False, "a fragment does not count"),
    ("swagger-ui", "https://swagger-ui@example.com/", False, "user info does not count"),
    ("swagger-ui", "https://swagger-ui:x/", False, "a URL that no browser opens"),
    ("swagger-ui", "https-swagger-ui:nothing", False, "a scheme does not count"),
    ("ui", "https://example.com/aui/ui", True, "the second occurrence is a segment"),
    ("한글", "https://example.com/%ED%95%9C%EA%B8%80/", True, "a Korean token"),
    ("한국", "https://xn--3e0b707e.kr/", True, "a Korean token in punycode"),
    ("xn--3e0b707e", "https://한국.kr/", True, "a token in punycode"),
    ("c++", "https://example.com/learn/c++/", True, "a token that ends in signs"),
]


@pytest.mark.parametrize(("pattern", "url", "matches", "reason"), URL_ROWS)
def test_domain_pattern(pattern: str, url: str, matches: bool, reason: str) -> None:
    patterns = [CategoryPattern("1" * 24, "Design", None, (), (pattern,))]
    rules = RuleSet(patterns)
    assert (rules.match("", url) is not None) is matches, reason
    assert bool(rules.candidates("", url)) is matches, reason
    assert bool(naive_matcher.candidates(patterns, "", url)) is matches, f"referee: {reason}"


WINNER_ROWS = [
    # patterns as "category priority pattern", url, winning category, reason
    (
        ["A 1 google.com", "B - docs.google.com"],
        "docs.google.com",
        "B",
        "the longer host, whatever the priority",
    ),
    (["A 1 google.com", "B - google.com/search"], "google.com/search", "B", "the longer path"),
    (["A 1 google.com/a", "B 2 google.com/a/b"], "google.com/a/b/c", "B", "the longer path of two"),
    (["A 1 google.com/maps", "B 2 maps.google.com"], "maps.google.com/maps", "B", "the host before the path"),
    (["A 1 swagger-ui", "B - x.io"], "x.io/swagger-ui", "B", "a host before a token"),
    (["A - api-docs", "B 1 docs"], "x.io/docs/api-docs", "A", "the longer token"),
    (["A 2 x.io", "B 1 x.io"], "x.io", "B", "equally specific: the lower priority"),
    (["A - x.io", "B 9 x.io"], "x.io", "B", "no priority comes last"),
    (["A 0 x.io", "B 1 x.io"], "x.io", "A", "zero is a priority"),
    (["A 0 x.io", "B -1 x.io"], "x.io", "B", "so is a negative number"),
    (["B 1 x.io", "A 1 x.io"], "x.io", "A", "equal priority: the category's name"),
    (["A 1 x.io", "A 1 www.x.io"], "x.io", "A", "one category twice"),
    (["B 2 x.io", "A 1 www.x.io"], "www.x.io", "A", "www. makes no host longer"),
    (["A 2 docs", "B 1 apis"], "x.io/docs/apis", "B", "tokens of one length: the lower priority"),
]


@pytest.mark.parametrize(("rows", "url", "category", "reason"), WINNER_ROWS)
@pytest.mark.parametrize("order", [1, -1])
def test_winner_among_url_patterns(rows: list[str], url: str, category: str, reason: str, order: int) -> None:
    patterns = []
    for number, row in enumerate(rows):
        name, priority, pattern = row.split()
        rank = None if priority == "-" else int(priority)
        patterns.append(CategoryPattern(f"{number:024x}", name, rank, (), (pattern,)))
    rules = RuleSet(patterns[::order])
    found = rules.candidates("", url)
    assert found[0] == rules.match("", url)
    assert (found[0].category, found[0].tier, len(found)) == (category, "url", len(rows)), reason
    assert naive_matcher.candidates(patterns, "", url)[0][0] == category, f"referee: {reason}"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "empty"),
        ("  \t", "empty"),
        ("/", "empty"),
        ("...", "empty"),
        ("*", "wildcard"),
        ("mail.*.com", "wildcard"),
        ("google.*", "wildcard"),
        ("https://", "neither a host"),
        ("fig ma.com", "neither a host"),
        ("two words", "neither a host"),
        ("figma..com", "neither a host"),
        ("0.0.1", "neither a host"),
        ("1.2.3.4.5", "neither a host"),
        ("[::1", "neither a host"),
        ("figma.com:port", "neither a host"),
        ("mailto:a@b.c", "neither a host"),
        ("file:///etc/passwd", "neither a host"),
        ("/search/advanced", "neither a host"),
        ("--", "not a word"),
        ("a%2Eb", "not a word"),
        ("com", "nearly every site"),
        ("*.com", "nearly every site"),
        ("www.", "nearly every site"),
    ],
)
def test_broken_domain_pattern_is_reported_and_skipped(pattern: str, reason: str) -> None:
    patterns = [CategoryPattern("1" * 24, "Design", None, ("Figma",), ("figma.com", pattern))]
    rules = RuleSet(patterns)
    (problem,) = rules.problems
    assert (problem.category, problem.pattern) == ("Design", pattern)
    assert reason in problem.reason
    assert naive_matcher.read_pattern(pattern) is None
    assert rules.size == 2
    assert rules.match("", "https://figma.com/") is not None


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://User:pw@Docs.Google.com:443/Document/d/1/?q#f", ("docs.google.com", "/document/d/1")),
        ("https://www.xn--3e0b707e.kr", ("www.한국.kr", "")),
        ("http://[2001:DB8:0::1]:80/a//b/", ("[2001:db8::1]", "/a/b")),
        ("file:///C:/Users/me/a%20b.html", ("", "/c:/users/me/a b.html")),
        ("C:\\Users\\me\\a.html", ("", "/users/me/a.html")),
        ("about:blank", ("blank", "")),
        ("", ("", "")),
        ("http://", ("", "")),
        ("data:text/html,x", ("", "")),
        ("unknown:thing", ("", "")),
    ],
)
def test_split_url(url: str, place: tuple[str, str]) -> None:
    assert split_url(url) == place


_LABELS = st.text("abkx09-n", min_size=1, max_size=70) | st.sampled_from(["www", "xn--a", "co", "kr", "com"])


@given(st.lists(_LABELS, min_size=2, max_size=5).map(".".join))
def test_a_plain_host_is_read_as_any_other_spelling_of_it(host: str) -> None:
    def read(pattern: str) -> object:
        try:
            return parse_pattern(pattern)
        except ValueError:
            return None

    assert read(host) == read(f"//{host}/")


def test_parsed_pattern_parses_to_itself() -> None:
    for pattern, *_ in URL_ROWS:
        parsed = parse_pattern(pattern)
        if not parsed.token and "." in parsed.host:
            assert parse_pattern(parsed.host + parsed.path) == parsed


HUGE = 100_000


@pytest.mark.parametrize(
    "url",
    [
        "a" * HUGE,
        "a." * (HUGE // 2),
        "https://" + "a." * (HUGE // 2) + "figma.com/",
        "https://figma.com/" + "a/" * (HUGE // 2),
        "https://figma.com/" + "../" * (HUGE // 3),
        "https://figma.com/" + "%2f" * (HUGE // 3),
        "https://figma.com/" + "%" * HUGE,
        "https://" + "a@" * (HUGE // 2) + "figma.com",
        "https://" + ":" * HUGE,
        "/" * HUGE,
        "[" * HUGE,
        "view-source:" * (HUGE // 12),
        "https://web.archive.org/web/2020/" * (HUGE // 33),
        "about:reader?" + "url=http:&" * (HUGE // 10),
        "chrome-extension://x/?" + "url=https%3A%2F%2Fa%3Furl%3D" * (HUGE // 30),
        "xn--" * (HUGE // 4) + ".com",
        "https://figma.com/a" + "\u0300\u0327" * (HUGE // 2),
        "https://a" + "\u0300\u0327" * (HUGE // 2) + ".com/",
        "https://figma.com/?" + "figma.com/" * (HUGE // 10),
        "https://x.io/" + "a-" * (HUGE // 2),
    ],
    ids=lambda url: url[:24],
)
def test_huge_url_takes_linear_time(url: str) -> None:
    names = ("figma.com", "a", "a-a", "a.a", "a.a.a", "figma.com/a", "figma.com/a/a")
    patterns = [CategoryPattern("1" * 24, "Design", None, (), names)]
    rules = RuleSet(patterns)
    started = time.process_time()
    found = rules.candidates(url, url)
    assert time.process_time() - started < 3.0  # the quadratic ways take many seconds
    expected = naive_matcher.candidates(patterns, url, url)
    assert [(m.category, m.tier, m.pattern, m.category_id) for m in found] == expected


def test_what_lies_behind_the_longest_url_is_not_looked_at() -> None:
    url = "https://a.com/" + "b" * LONGEST_URL

    assert split_url(url + "/c") == split_url(url)
    assert len("".join(split_url(url))) < LONGEST_URL
