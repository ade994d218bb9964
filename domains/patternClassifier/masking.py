"""Text without what identifies somebody, opens something, or changes from one window of a kind to the next.

| what stands there                             | what is left                | why                                  |
|-----------------------------------------------|-----------------------------|--------------------------------------|
| a URL in a title                              | its host                    |                                      |
| e-mail address, `user@host`, `kim[at]a.com`   | [email]                     |                                      |
| absolute path; relative one to a file         | [path], with the extension  | the extension decides                |
| key by its prefix (`sk-`, `AKIA`), PEM text,  | [token]                     |                                      |
| what follows `password:`, `pw:`, `비밀번호`   | [token]                     |                                      |
| hash, UUID, any word that looks random        | [token]                     |                                      |
| code beside `인증번호`, `code`, `OTP`         | [number]                    | also four digits, also with blanks   |
| host of one label with a port                 | [url]                       | but `localhost:3000`                 |
| IPv4, IPv6, MAC address                       | [address]                   |                                      |
| phone, card, account, resident number, amount | [number]                    | 7 digits, with or without separators |
| 5 digits in a row; `JIRA-123`, `#42`, `66.7%` | [number]; `JIRA-`, `#`, `%` | names one thing of many, or changes  |
| date, time, a timer's `24:59`                 | [date], [time]              | equal windows are to share an answer |
| `(12)`; `● `, `*` at the beginning            | nothing                     | unread, unsaved: the same window     |
| `Windows 11`, `H2O`, `3D`, `2024`, `v2.3.1`,  | as it stands                | part of a name: it decides           |
| `1000번`, `SHA-256`, `S01E02`, `focus-timer`  |                             |                                      |

The names of people and of files stay, since nothing tells them from what decides. Every function takes time that is
linear in its text: at most `_READ` characters are looked at, and no pattern looks at one of them again and again.
"""

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

from domains.patternClassifier.privacy import address_of
from domains.patternClassifier.urls import split_url

_TITLE, _APP = 160, 80  # characters, at most
_READ = 512
"""Characters of a title or name that are looked at. What follows could only show if most before it were masked."""


def masked_title(title: str) -> str:
    return _masked(title, _TITLE, _without_marks, _RULES)


def masked_app(name: str) -> str:
    return _masked(name, _APP, _base_name, _RULES_OF_NAMES)


# ---------------------------------------------------------------------------------------------- hosts

ADDRESSES = _LOCALHOST, _PUBLIC, _PRIVATE = "localhost", "address", "private-address"
"""What is left of a host that is an address."""

_ORDINARY_HOST = re.compile(r"(?:[a-z-]{1,11}+(?:\.|\Z))++")  # nearly all: no digit, nothing to mask
_HOST_CHARACTERS = re.compile(r"[\w.-]+")
_ADDRESS_IN_HOST = re.compile(r"[0-9]{1,3}(?:[.-][0-9]{1,3}){3}")  # ip-10-0-0-1.ec2.example, 10.0.0.1.nip.io


def masked_host(host: str) -> str:
    """The host without labels that are identifiers, or what kind of address it is; empty where it is no host."""
    if host == "localhost" or host.endswith(".localhost"):
        return _LOCALHOST
    if _ORDINARY_HOST.fullmatch(host):
        return host
    address = address_of(host)
    if address is not None:
        return _LOCALHOST if address.is_loopback else _PUBLIC if address.is_global else _PRIVATE
    if not _HOST_CHARACTERS.fullmatch(host):
        return ""
    embedded = _ADDRESS_IN_HOST.search(host)
    if embedded:
        host = host[embedded.end() :].partition(".")[2]
    while host and not _is_host_label(host.partition(".")[0]):
        host = host.partition(".")[2]
    return host


def _is_host_label(label: str) -> bool:
    return label != "" and not any(map(is_identifier, re.split("[-_]", label)))


# ---------------------------------------------------------------------------------------------- words

_LONG_NUMBER = re.compile(r"\d{5}")
_HEX = re.compile(r"[0-9a-fA-F]{8,}")
_LONG_HEX = re.compile(r"(?!(.)\1*\Z)[a-fA-F]{12,}")  # without a digit
# Letters and digits that take turns: three times in a long word, four times in any. S01E02 and R2D2 are names.
_ALTERNATING = re.compile(
    r"(?=.{11})(?:[^\W\d]++\d++[^\W\d]++\d|\d++[^\W\d]++\d++[^\W\d])"
    r"|(?:[^\W\d]++\d++){2}[^\W\d]|(?:\d++[^\W\d]++){2}\d"
)
_TURNS = re.compile("(?<=[a-z])[A-Z]|(?<=[A-Z][A-Z])[a-z]|(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
_RANDOM_LETTERS = 16
"""From this length on, letters alone are looked at whether they look random."""

_PAIRS = """
    a:bcdgiklmnprstuvy b:aeiloru c:aehiklorstu d:aeiorsu e:abcdefgilmnoprstvwxy f:aefilort g:aehiloru h:aeiotu
    i:abcdefglmnoprstvxz j:aou k:aeios l:adeilostuy m:aeiopsu n:acdefgiknostu o:abcdfgiklmnoprstuvw p:aehiloprtu q:u
    r:acdeiklmnorstuy s:acehiklopstuy t:acehiloprstuy u:abdeilmnprst v:aei w:aeio x:t y:ps z:e
"""
_FOLLOWERS = dict(row.split(":") for row in _PAIRS.split())
"""The letters that usually follow a letter. Five in six pairs of English words and of the names in the default
patterns are among them, and one in three of random letters."""


def is_identifier(word: str) -> bool:
    """Whether letters and digits look like a number, a hash or a random string, and not like a word or a name."""
    if len(word) < 5:
        return False
    if word.isalpha():
        return _LONG_HEX.fullmatch(word) is not None or (len(word) >= _RANDOM_LETTERS and looks_random(word))
    if not word.isascii():  # 2025학년도대학수학능력시험
        return _LONG_NUMBER.search(word) is not None
    return bool(len(word) >= 16 or _LONG_NUMBER.search(word) or _HEX.fullmatch(word) or _ALTERNATING.match(word))


def looks_random(letters: str, usual_share: float = 0.6) -> bool:
    """Whether Latin letters are no words: AbstractProxyFactory is some, dGhpcyBpcyBhIHN0 none.

    They are random if at most `usual_share` of their pairs are usual ones. Of random strings of 16 letters one in
    thirteen passes for words, of longer ones fewer; of words of that length one in a hundred does not.
    """
    folded = letters.lower()
    usual = sum(first == second or second in _FOLLOWERS.get(first, "") for first, second in pairwise(folded))
    return letters.isascii() and (usual <= usual_share * (len(letters) - 1) or _turns(letters) > 0.3)


def _turns(text: str) -> float:
    """How often small letters, capitals and digits take turns: up to 0.25 in ThreeWords2, 0.45 in random text."""
    return len(_TURNS.findall(text)) / len(text)


# -------------------------------------------------------------------------------------------- secrets

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{1,40}-{2,5}(?:.*?-----END [A-Z0-9 ]{1,40}-{2,5}|.*)"
    r"|PuTTY-User-Key-File.*",
    re.DOTALL,
)
_PREFIXED = re.compile(
    # with a separator; what follows is to have a digit, or sixteen letters in a row
    r"(?<![a-zA-Z0-9])(?:"
    r"(?:[spr]k|gh[pousr]|github_pat|hf|npm|shp(?:at|ca|pa|ss)|do[opr]_v1|lin_api|ntn|secret|fig[dou]|gls?[ac]|dckr_pat"
    r"|whsec|gsk|r8|sbp|sntry[su]|lsv2|rubygems|tfp|fo1|fm2|api|key|token)_"
    r"|(?:[spr]k|gl[a-z]{2,7}|xox[a-z]|xapp|xai|pplx|nvapi|pypi|key|PMAK|NRAK|NRII|CFPAT|tskey|sq0[a-z]{3}"
    r"|GOCSPX|AGE-SECRET-KEY)-"
    r"|(?:SG|ya29|hv[sbr]|[sp]k|dp)\."
    r"|AIza|eyJ|AT(?:ATT3|BB|CTT3))"
    r"(?P<rest>[\w.+/=-]{12,})"
    r"|(?<![a-zA-Z0-9])A(?:KIA|SIA|ROA|IDA|BIA|CCA|NPA|GPA)[A-Z0-9]{16}(?![a-zA-Z0-9])"
    r"|\barn:aws[\w-]*:\S+"
)
_LETTERS_IN_A_ROW = re.compile(r"[a-zA-Z0-9]{16}")
_NAMED = re.compile(
    # the value ends at a blank, or at the quotation mark that it begins with
    r"((?:pass(?:word|wd|phrase|code)|(?<![^\W_])(?:pass|pwd?|psw|pin|otp|sid|cookie|ssid)"
    r"|(?:api|access|secret|private|license|product|recovery|encryption|account|signing|master|shared)[-_ ]?key"
    r"|token|secret|credentials?|authorization|session[-_ ]?id|user[-_ ]?name|client[-_ ]?id|bearer"
    r"|비밀\s?번호|비번|암호|패스워드|아이디|계정|인증\s?(?:번호|코드)|パスワード|密码|密碼)"
    r"[\"']?\s?(?:[=-]>|[=:：→])\s?(?:(?:Bearer|Basic|Digest|Token)\s)?)"
    r"(?:\"[^\"]*+\"|'[^']*+'|[^\s\[\"'][^\s]*+)"
    # without a mark between them only what looks like a secret: letters and digits
    r"|((?:비밀\s?번호|비번|암호|패스워드|(?<![^\W_])(?:pass(?:word|code)|pwd?))(?:는|은|\sis)?\s)"
    r"(?=[^\s\d]*+\d)(?=[^\sa-zA-Z]*+[a-zA-Z])[^\s\[]{6,}+"
    r"|((?<![^\W_])Bearer\s)[\w.+/=~-]{12,}+",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"(?<![a-zA-Z0-9+/=])[a-zA-Z0-9+/]{24,}+={0,2}")
_UUID = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}(?![0-9a-fA-F])")
_GROUPS = re.compile(
    # 5F3K9-…, a licence or recovery key; a new Korean passport; abc-defg-hij, a meeting
    r"(?<![\w-])(?:(?=[A-Z-]*+\d)[A-Z0-9]{4,6}(?:-[A-Z0-9]{4,6}){3,7}|[A-Z0-9]{5}(?:-[A-Z0-9]{5}){3,7})(?![\w-])"
    r"|(?<![^\W_])[A-Z]\d{3}[A-Z]\d{4}(?![^\W_])"
    r"|(?<=Meet [-–—] )[a-z]{3}-[a-z]{4}-[a-z]{3}(?![\w-])"
)
_WORD = re.compile(rf"(?<![^\W_])(?=[^\W\d_]*+\d|[a-zA-Z]{{{_RANDOM_LETTERS}}}|[a-fA-F]{{12}})[^\W_]{{6,}}+")


def _prefixed(key: re.Match[str]) -> str:
    rest = key["rest"]
    certain = rest is None or any(map(str.isdigit, rest)) or _LETTERS_IN_A_ROW.search(rest)
    return "[token]" if certain else key[0]


def _named(secret: re.Match[str]) -> str:
    return f"{secret[1] or secret[2] or secret[3]}[token]"


def _base64(text: re.Match[str]) -> str:
    kinds = (str.isdigit, str.islower, str.isupper)
    return "[token]" if all(any(map(kind, text[0])) for kind in kinds) and _turns(text[0]) > 0.2 else text[0]


def _word(word: re.Match[str]) -> str:
    return "[token]" if not word[0].isdigit() and is_identifier(word[0]) else word[0]


# ------------------------------------------------------------------------- addresses, paths and numbers

_URL = re.compile(
    r"(?<![a-zA-Z0-9+.-])(?:[a-zA-Z][a-zA-Z0-9+.-]{1,20}+://|www\.)[^\s\"<>]++"
    r"|(?<![\w.@/\\-])(?:[a-zA-Z0-9-]{1,63}+\.)++(?!js/)[a-zA-Z]{2,20}+(?::\d+)?[/?][^\s\"<>]*+"
)
_AT = r" ?(?:[\[({<] ?(?:at|@|골뱅이) ?[\])}>]|%40|&#0?64;|&commat;|골뱅이) ?"
_DOT = r" ?(?:\.|[\[({<] ?(?:dot|\.|점) ?[\])}>]|%2e|닷) ?| dot "
_EMAIL = re.compile(
    r"(?<![^\s@＠\"<>()\[\],;:])[^\s@＠\"<>()\[\],;:]++(?:[@＠]++[^\s@＠\"<>()\[\],;:]++)++"
    r"|(?<![a-zA-Z0-9.+_-])[a-zA-Z0-9.+_-]++"
    rf"(?:{_AT}[a-zA-Z0-9-]++(?:(?:{_DOT})[a-zA-Z0-9-]++)*+| at [a-zA-Z0-9-]++(?: dot [a-zA-Z0-9-]++)++"
    r"|(?: @ ?|@ )[a-zA-Z0-9-]++(?:\.[a-zA-Z0-9-]++)++(?<=[a-zA-Z]{2}))",
    re.IGNORECASE,
)
# Up to what cannot stand in a name, or to what divides a title: a name may hold blanks.
_PATH = re.compile(
    r"(?:(?<![a-zA-Z])[a-zA-Z]:[\\/]|\\\\(?=\w)"
    r"|(?<![\w/~])(?:~|/(?:Users|home|Volumes|mnt|media|root|private|var/folders))/)"
    r"(?:(?! [-–—|·:] )[^\"<>|*?\[\]():\n])*+"
    r"|(?<![\w/\\.:~\])])(?:~|\.{1,2})?/[^\s/\"<>|]++/[^\s\"<>|]*+"
    r"|(?<![\w.-])[\w.-]++(?:\\[\w.-]++)++"
    r"|(?<![\w.-])[\w.-]++(?:/[\w.-]++){2,}+(?:(?<=\.\w)|(?<=\.\w\w)|(?<=\.\w\w\w)|(?<=\.\w{4}))"
)
_EXTENSION = re.compile(r"\.[a-zA-Z]\w{0,4}(?=\W*\Z)")
_HOST_WITH_PORT = re.compile(
    r"(?<![\w.:/@\[-])(?!localhost:)[a-zA-Z][a-zA-Z0-9_-]{1,62}+:(?!(?:19|20)\d\d\b)(?:80|443|\d{4,5})(?![\w:.-])"
    r"(?:/\S*+)?",
    re.IGNORECASE,
)
_IP6 = re.compile(
    r"(?<![\w:])(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){3,19}|(?=[a-fA-F:]*\d)[0-9a-fA-F]{1,4}::[0-9a-fA-F]{1,4})"
    r"(?![\w:])"
)
_MAC = re.compile(
    r"(?<![\w-])[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5}(?![\w-])|\b(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}\b"
)
_CODE = r"\d(?:[ -]?\d){{{},9}}(?![\d.,]?\d)"
_CODES = re.compile(
    r"(?P<before>(?:(?:인증|확인|보안|승인|비밀|핀|예약|입장)\s?(?:번호|코드)|일회용|one[- ]time"
    r"|(?:verification|security|access|login|sign-?in|auth|authentication|confirmation|recovery|backup|activation"
    r"|pairing|door|gate|entry|invite) code|passcode|(?<![^\W_])(?:otp|2fa|mfa|cvc|cvv|pin))"
    r"(?:[^\w\n]|은|는|이|가|is|code|password|번호|코드){0,8})"
    + _CODE.format(2)
    + r"|(?P<plain>(?<![^\W_])(?:code|코드)(?:[^\w\n]|은|는|이|가|is){1,6})(?!(?:19|20)\d\d\b)"
    + _CODE.format(3)
    + r"|(?<![\d.,-])\d(?:[ -]?\d){3,9}(?=[\])]?(?: (?:is|as) (?:your|my)\b"
    r"|\s?(?:을|를|은|는|이|가)?\s?(?:입력|인증|확인\s?(?:번호|코드))))",
    re.IGNORECASE,
)
_NO_CODES = re.compile(
    r"(?:error|status|exit|http|zip|postal|post|area|country|dial|return|response|stop|vs|studio|claude|qr|bar|source"
    r"|promo|color|colour|product|오류|에러|상태|종료|우편|지역|국가|색상|상품)\s?-?\Z",
    re.IGNORECASE,
)
"""What stands before a `code` that is none to open something with."""

_NUMBERS = re.compile(
    r"(?=[+(\d])(?:"  # fails at once nearly everywhere
    r"(?P<date>(?:19|20)\d\d(?P<mark>[-./]) ?\d{1,2}(?P=mark) ?\d{1,2}(?!\d)|\d{1,2}/\d{1,2}/(?:19|20)\d\d(?!\d)"
    r"|(?:19|20)\d\d년 ?\d{1,2}월(?: ?\d{1,2}일)?)"
    r"|(?P<time>\d{1,3}:[0-5]\d(?::[0-5]\d)?(?![\d:]))"
    r"|(?P<percent>\d++(?:[.,]\d++)?(?= ?%))"
    r"|(?P<run>[+(]?\d(?:[ .,()/_~|:·‐-―-]{0,3}\d)*+))"
)
_YEARS = re.compile(r"\(?(?:19|20)\d\d *[-/ ] *(?:19|20)\d\d")
_TICKET = re.compile(
    r"(?<![\w-])(?!(?:SHA|RFC|ISO|UTF|AES|IEEE|CVE|CES|BOJ|GPT|MD|PEP|RTX|GTX)-)([A-Z][A-Z0-9]{1,9}-)\d{3,}"
)
_COUNTER = re.compile(r" \(\d{1,3}\+?\)(?= |\Z)")  # Inbox (3) - Gmail; a year has four digits
_REFERENCE = re.compile(r"(?<!\w)#\d{2,}+(?!\w)")
_LONG_RUN = re.compile(r"\d(?:[ ._()/-]{0,2}\d){6,}+")


def _host_only(url: re.Match[str]) -> str:
    host = masked_host(split_url(url[0])[0])
    return host if "." in host or host == _LOCALHOST else "[address]" if host in ADDRESSES else "[url]"


def _path(path: re.Match[str]) -> str:
    extension = _EXTENSION.search(path[0])
    return f"[path]{extension[0] if extension else ''}" + (" " if path[0].endswith(" ") else "")


def _code(code: re.Match[str]) -> str:
    if code["plain"] and _NO_CODES.search(code.string[max(code.start() - 12, 0) : code.start()]):
        return code[0]
    return f"{code['before'] or code['plain'] or ''}[number]"


def _number(number: re.Match[str]) -> str:
    kind = number.lastgroup
    if kind != "run":
        return f"[{kind}]" if kind in ("date", "time") else "[number]"
    text = number[0]
    if len(text) < 5:
        return text
    runs = re.findall(r"\d+", text)
    dotted = len(runs) > 2 and text == ".".join(runs)
    if dotted and len(runs) == 4 and all(len(run) < 4 and int(run) < 256 for run in runs):
        before = number.string[number.start() - 1 : number.start()]
        return text if before in ("v", "V") else "[address]"
    if dotted:  # a version, but for 010.1234.5678
        whole = len(runs) == 3 and len(runs[2]) == 4 and len(text) > 10
    else:
        whole = sum(map(len, runs)) >= (9 if " " in text else 7) and not _YEARS.fullmatch(text)
    return "[number]" if whole else re.sub(r"\d{5,}", "[number]", text)


# ------------------------------------------------------------------------------------ names and titles

# Controls, bidi marks, zero-width characters, variation selectors, tags, lone surrogates. Blanks are not among them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ud800-\udfff\ufe00-\ufe0f\ufeff\ufff0-\uffff\U000e0000-\U000e0fff]+"
)
_UNREAD = re.compile(r"(?:[●•○◉◦∙*🔴🔔]++ ?|! |\(\d{1,4}\+?\) ?)++")
_ABSOLUTE = re.compile(r"(?:[a-zA-Z]:)?[\\/]")

Rules = tuple[tuple[re.Pattern[str], Callable[[str], str]], ...]
_OF_NAMES = 4
"""The first rules are those for the name of an app, too: its numbers are part of the name, up to a phone number's."""

_RULES: Rules = tuple(
    # What stands in every text that has something to mask, and the mask. What may hold another one comes first.
    (re.compile(mark), mask)
    for mark, mask in (
        (
            "-----B|PuTTY|[-_.]|A[KSRIBCNG]|AIza|eyJ|arn:|AT[ABC]",
            lambda text: _PREFIXED.sub(_prefixed, _PEM.sub("[token]", text)),
        ),
        ("[/?]|www", lambda text: _URL.sub(_host_only, text)),
        ("[@＠\\[({<%&]|골뱅이| dot ", lambda text: _EMAIL.sub("[email]", text)),
        (r"\\|/\S*/|[:~]/", lambda text: _PATH.sub(_path, text)),
        (r"[=:：>→]|[bB][eE][aA]|[pP][aAwW]|비밀|비번|암호|패스", lambda text: _NAMED.sub(_named, text)),
        (r"[/+]", lambda text: _BASE64.sub(_base64, text)),
        (r"\d|[A-Z]-[A-Z]|Meet", lambda text: _GROUPS.sub("[token]", text)),
        (r"\d|[A-Za-z]{12}", lambda text: _WORD.sub(_word, _UUID.sub("[token]", text))),
        (r":\w*:|[-.][0-9a-fA-F]", lambda text: _MAC.sub("[address]", _IP6.sub("[address]", text))),
        (r":\d", lambda text: _HOST_WITH_PORT.sub("[url]", text)),
        (r"\d", lambda text: _NUMBERS.sub(_number, _CODES.sub(_code, text))),
        (r"[A-Z0-9]-\d", lambda text: _TICKET.sub(r"\1[number]", text)),
        (r" \(\d", lambda text: _COUNTER.sub("", text)),
        (r"#\d", lambda text: _REFERENCE.sub("#[number]", text)),
    )
)
_RULES_OF_NAMES: Rules = (*_RULES[:_OF_NAMES], (re.compile(r"\d"), lambda text: _LONG_RUN.sub("[number]", text)))

_ROUNDS = 8
_MARKS = re.compile(r"[@＠/\\\d=:：%&\[({<>→]|-----| dot |골뱅이|[bB][eE][aA][rR]")
_LONG_WORD = 11


def _without_marks(title: str) -> str:
    marks = _UNREAD.match(title)
    return title[marks.end() :] if marks else title


def _base_name(app: str) -> str:
    if not _ABSOLUTE.match(app):
        return app
    path = app.rstrip("\\/")
    return path[max(path.rfind("/"), path.rfind("\\")) + 1 :]


def _masked(text: str, most: int, core: Callable[[str], str], rules: Rules) -> str:
    """At most `most` characters of `text`, without what is invisible, identifies somebody, or changes."""
    if len(text) > _READ:  # not in the middle of a word, which could be the half of an address
        text = text[:_READ]
        text = text[: max(text.rfind(" "), 0)] or text[:most]
    if not text.isascii() or not text.isprintable():
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    text = " ".join(text.split())
    # A mask may lay bare what another one finds, and so may the cut.
    for _ in range(_ROUNDS):
        before = text
        text = core(text)
        if _MARKS.search(text) or max(map(len, text.split()), default=0) > _LONG_WORD:
            for mark, mask in rules:
                if mark.search(text):
                    text = mask(text)
        text = text[:most].strip()
        if text == before:
            return text
    return text
