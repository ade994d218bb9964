"""What is masked and what is not, on texts as they stand in titles and URLs.

All secrets and private texts are made up. Keys are made at run time, so that no scanner takes this file for one that
holds secrets.
"""

import string
from random import Random
from time import process_time

import pytest

from domains.kernel.window import Window
from domains.patternClassifier.questions import Questions

QUESTIONS = Questions()


def title_of(text: str) -> str:
    return QUESTIONS.of(Window("", "", text)).title


def site_of(url: str) -> str:
    return QUESTIONS.of(Window("", url, "")).site


LETTERS, MIXED, HEX = string.ascii_letters, string.ascii_letters + string.digits, "0123456789abcdef"
UPPER, UPPER_MIXED = string.ascii_uppercase, string.ascii_uppercase + string.digits
LOWER, LOWER_MIXED = string.ascii_lowercase, string.ascii_lowercase + string.digits
BASE64, URL_SAFE = MIXED + "+/", MIXED + "-_"

KEYS = [
    # prefix, alphabet, length
    ("sk-", MIXED, 48),
    ("sk-", LETTERS, 48),
    ("sk-", LOWER, 32),
    ("sk-proj-", MIXED, 48),
    ("sk-proj-", LETTERS, 48),
    ("sk-ant-api03-", MIXED, 40),
    ("sk-or-v1-", HEX, 64),
    ("sk_live_", MIXED, 24),
    ("sk_test_", LETTERS, 24),
    ("pk_live_", LETTERS, 24),
    ("rk_live_", MIXED, 24),
    ("ghp_", MIXED, 36),
    ("ghp_", LETTERS, 36),
    ("gho_", LETTERS, 36),
    ("ghu_", MIXED, 36),
    ("ghs_", LETTERS, 36),
    ("ghr_", MIXED, 36),
    ("github_pat_", MIXED, 22),
    ("glpat-", MIXED, 20),
    ("glpat-", LETTERS, 20),
    ("glpat-", LOWER, 20),
    ("gldt-", LETTERS, 20),
    ("glrt-", LETTERS, 20),
    ("xoxb-", "0123456789", 12),
    ("xoxb-", LETTERS, 24),
    ("xoxp-", MIXED, 24),
    ("xapp-1-", UPPER_MIXED, 20),
    ("AKIA", UPPER, 16),
    ("AKIA", UPPER_MIXED, 16),
    ("ASIA", UPPER, 16),
    ("AROA", UPPER, 16),
    ("AIza", MIXED, 35),
    ("AIza", LETTERS, 35),
    ("GOCSPX-", LETTERS, 28),
    ("GOCSPX-", MIXED, 28),
    ("GOCSPX-", LOWER, 28),
    ("ya29.", URL_SAFE, 60),
    ("hf_", LETTERS, 34),
    ("npm_", LETTERS, 36),
    ("npm_", MIXED, 36),
    ("pypi-", URL_SAFE, 80),
    ("shpat_", HEX, 32),
    ("shpss_", HEX, 32),
    ("dop_v1_", HEX, 64),
    ("lin_api_", LETTERS, 40),
    ("ntn_", MIXED, 40),
    ("secret_", LETTERS, 43),
    ("figd_", LETTERS, 40),
    ("glsa_", LETTERS, 32),
    ("dckr_pat_", LETTERS, 27),
    ("hvs.", LETTERS, 24),
    ("whsec_", LETTERS, 32),
    ("gsk_", LETTERS, 52),
    ("xai-", LETTERS, 80),
    ("pplx-", LETTERS, 48),
    ("r8_", LETTERS, 37),
    ("nvapi-", LETTERS, 64),
    ("sbp_", HEX, 40),
    ("PMAK-", HEX, 24),
    ("NRAK-", UPPER, 27),
    ("ATATT3", LETTERS, 60),
    ("CFPAT-", LETTERS, 43),
    ("lsv2_pt_", HEX, 32),
    ("sq0atp-", LETTERS, 22),
    ("tskey-auth-", LETTERS, 24),
    ("SG.", LETTERS, 22),
    ("AGE-SECRET-KEY-", UPPER_MIXED, 58),
    ("key-", HEX, 32),
    ("", HEX, 32),
    ("", HEX, 40),
    ("", HEX, 64),
    ("", "abcdef", 16),
    ("", UPPER_MIXED, 16),
    ("", UPPER, 26),
    ("", MIXED, 22),
    ("", LETTERS, 24),
    ("", LETTERS, 43),
    ("", LOWER, 24),
    ("", BASE64, 40),
    ("", BASE64, 64),
    ("", BASE64, 88),
    ("0x", HEX, 40),
    ("bc1q", LOWER_MIXED, 38),
    ("ssh-rsa AAAAB3NzaC1yc2E", BASE64, 60),
    ("SHA256:", BASE64, 43),
]
FRAMES = ["{}", "export TOKEN {} - zsh"]


def key(number: int, prefix: str, alphabet: str, length: int) -> str:
    return prefix + "".join(Random(f"{prefix}{alphabet}{length}{number}").choices(alphabet, k=length))


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("prefix", "alphabet", "length"), KEYS)
def test_a_key_is_masked(prefix: str, alphabet: str, length: int, frame: str) -> None:
    secret = key(0, prefix, alphabet, length)[len(prefix) :]
    left = title_of(frame.format(prefix + secret))

    assert not [secret[at : at + 8] for at in range(length - 7) if secret[at : at + 8] in left]


AWS = "/".join(("wJalrXUtnFEMI", "K7MDENG", "bPxRfiCY" + "EXAMPLEKEY"))
PEM = "-----{} RSA PRIVATE KEY-----"
JWT = ".".join(("eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJraW0ifQ", "c2lnbmF0dXJlb2ZpdA"))

SECRETS = [
    # text, what must not be left of it
    (f"aws_secret_access_key = {AWS}", AWS),
    (AWS, "K7MDENG"),
    (f"AWS console {AWS} copied", "wJalrXUtnFEMI"),
    (f"AccountKey={AWS}==;EndpointSuffix=core", AWS),
    (PEM.format("BEGIN") + " MIIEpAIBAAKCAQEA " + PEM.format("END"), "MIIE"),
    (PEM.format("BEGIN") + " abc def", "abc"),
    ("-----BEGIN " + "OPENSSH PRIVATE KEY----- b3BlbnNzaC1r", "b3Blb"),
    ("-----BEGIN " + "PGP PRIVATE KEY BLOCK----- lQOYBF", "lQOYBF"),
    ("PuTTY-User-Key-File-3: ssh-ed25519 hello", "ed25519"),
    (JWT, "eyJzdWIiOiJraW0ifQ"),
    (f"Authorization: Bearer {JWT}", "c2lnbmF0dXJl"),
    ("Authorization: Basic a2ltOnNlY3JldA==", "a2ltOnN"),
    ("curl -H 'Authorization: Token abcdefgh'", "abcdefgh"),
    ("Bearer abcdefghijklmnop", "abcdefghijklmnop"),
    ("arn:aws:iam::123456789012:user/kim.minjun", "kim"),
    # named
    ("password: hunter2", "hunter2"),
    ("Password=hunter2", "hunter2"),
    ("password : correct-horse", "correct"),
    ('password="correct horse battery"', "horse"),
    ("password='correct horse'", "horse"),
    ('{"password": "correcthorse"}', "correcthorse"),
    ("passwd: letmein", "letmein"),
    ("passphrase: open sesame", "open"),
    ("passcode: 8Xk2Qz", "8Xk2Qz"),
    ("Passcode: letmein", "letmein"),
    ("pass: hunter2", "hunter2"),
    ("pw: hunter2", "hunter2"),
    ("PW: hunter2", "hunter2"),
    ("pw=hunter2", "hunter2"),
    ("id/pw: kim/hunter2", "hunter2"),
    ("pwd: hunter2", "hunter2"),
    ("pw : hunter", "hunter"),
    ("pw：hunter2", "hunter2"),
    ("pw -> hunter2", "hunter2"),
    ("password => hunter2", "hunter2"),
    ("password is hunter2", "hunter2"),
    ("my password hunter22 - Notes", "hunter22"),
    ("Wi-Fi password: guestguest", "guestguest"),
    ("SSID: HomeNet", "HomeNet"),
    ("token: abcdef", "abcdef"),
    ("access_token=abcdef", "abcdef"),
    ("refresh token: abcdef", "abcdef"),
    ("client_secret=abcdef", "abcdef"),
    ("client-id: kim-app", "kim-app"),
    ("secret: abcdef", "abcdef"),
    ("api_key=abcdef", "abcdef"),
    ("api-key: abcdef", "abcdef"),
    ("apikey=abcdef", "abcdef"),
    ("access key: abcdef", "abcdef"),
    ("secret-key=abcdef", "abcdef"),
    ("license key: ABCDE", "ABCDE"),
    ("product key: ABCDE", "ABCDE"),
    ("recovery key: abcdef", "abcdef"),
    ("SharedKey=abcdef", "abcdef"),
    ("credentials: kim", "kim"),
    ("JSESSIONID=abcdef", "abcdef"),
    ("session id: abcdef", "abcdef"),
    ("cookie: abcdef", "abcdef"),
    ("username=kim.minjun", "kim"),
    ("user_name: kim", "kim"),
    ("비밀번호: 나비야", "나비야"),
    ("비밀번호=나비야123", "나비야"),
    ("비밀 번호 : 나비야", "나비야"),
    ("비밀번호는 nabi1234 입니다", "nabi1234"),
    ("비번: nabi", "nabi"),
    ("비번 nabi1234", "nabi1234"),
    ("암호: nabi", "nabi"),
    ("패스워드: nabi", "nabi"),
    ("와이파이 비번 guest1234", "guest1234"),
    ("아이디: kim / 비번: nabi", "kim"),
    ("계정: kim", "kim"),
    ("パスワード: sakura", "sakura"),
    ("密码: meihua", "meihua"),
    ("otp: 12ab", "12ab"),
    ("pin: 12ab", "12ab"),
    # groups
    ("VK7JG-NPHTM-C97JM-9MPGT-3V66T", "NPHTM"),
    ("ABCDE-FGHIJ-KLMNO-PQRST-UVWXY", "FGHIJ"),
    ("recovery 4F7K-9QX2-LM3P-88ZT", "9QX2"),
    ("Meet – abc-defg-hij", "defg"),
    ("Meet - abc-defg-hij - Google Chrome", "defg"),
    # codes
    ("인증번호 [1234]", "1234"),
    ("인증번호 1234", "1234"),
    ("인증번호: 12 34", "12 34"),
    ("인증번호는 482913입니다", "482913"),
    ("인증번호 482 913", "913"),
    ("[Web발신] 인증 번호 4829 를 입력", "4829"),
    ("인증코드 2024", "2024"),
    ("인증 코드: 1999", "1999"),
    ("[482913] 인증번호입니다", "482913"),
    ("4829 인증번호", "4829"),
    ("4829를 입력하세요", "4829"),
    ("확인 코드 4829", "4829"),
    ("보안코드 4829", "4829"),
    ("보안 코드: 482", "482"),
    ("승인번호 4829", "4829"),
    ("핀번호 4829", "4829"),
    ("비밀번호 4829", "4829"),
    ("일회용 비밀번호 482 913", "913"),
    ("코드 4829", "4829"),
    ("코드: 4829", "4829"),
    ("코드는 48 29", "29"),
    ("code 4829", "4829"),
    ("Code: 4829", "4829"),
    ("your code is 4829", "4829"),
    ("code = 48 29 13", "29"),
    ("code 482-913", "913"),
    ("verification code 4829", "4829"),
    ("Verification code: 482 913", "913"),
    ("security code 2025", "2025"),
    ("login code: 4829", "4829"),
    ("sign-in code 4829", "4829"),
    ("one-time code 4829", "4829"),
    ("one time password 4829", "4829"),
    ("backup code 4829 1306", "1306"),
    ("pairing code 4829", "4829"),
    ("door code 4829", "4829"),
    ("passcode 4829", "4829"),
    ("OTP 4829", "4829"),
    ("OTP: 482913", "482913"),
    ("2FA 4829", "4829"),
    ("PIN 4829", "4829"),
    ("PIN: 1234", "1234"),
    ("CVC 482", "482"),
    ("CVV: 482", "482"),
    ("4829 is your verification code", "4829"),
    ("482 913 is your Google code", "913"),
    ("G-482913 is your code", "482913"),
    ("Use 4829 as your PIN", "4829"),
    # e-mail addresses
    ("kim@corp.com", "kim"),
    ("kim[at]corp.com", "kim"),
    ("kim [at] corp.com", "kim"),
    ("kim[at]corp[dot]com", "kim"),
    ("kim [at] corp [dot] com", "corp"),
    ("kim(at)corp.com", "kim"),
    ("kim (at) corp (dot) com", "corp"),
    ("kim{at}corp.com", "kim"),
    ("kim<at>corp.com", "kim"),
    ("kim[AT]corp.com", "kim"),
    ("kim[@]corp.com", "kim"),
    ("kim at corp dot com", "kim"),
    ("kim%40corp.com", "kim"),
    ("kim%40corp%2Ecom", "corp"),
    ("mail to kim.minjun%40corp.com now", "minjun"),
    ("kim&#64;corp.com", "kim"),
    ("kim @ corp.com", "kim"),
    ("kim골뱅이corp.com", "kim"),
    ("kim[골뱅이]corp닷com", "kim"),
    ("kim＠corp.com", "kim"),
    ("김민준 <minjun@corp.co.kr>", "minjun"),
    # hosts
    ("api.prod.svc - Grafana", "api.prod"),
    ("http://api.prod.svc:8080/health", "api.prod"),
    ("wiki.private home", "wiki"),
    ("git.corp.intra: merge", "git.corp"),
    ("nas.tail1234.ts.net", "nas"),
    ("https://nas.tail1234.ts.net/x", "nas"),
    ("wiki.acme.internal", "acme"),
    ("printer.local", "printer"),
    ("db.home.arpa", "db.home"),
    ("expyuzz4wqqyqhjn.onion", "expyuzz4"),
    ("intranet:8080", "intranet"),
    ("intranet:8080 dashboard", "intranet"),
    ("jenkins:8080/job/payroll", "payroll"),
    ("db-master:5432 - DBeaver", "db-master"),
    ("DB01:5432", "DB01"),
    ("redis-0:6379> ", "redis-0"),
    ("http://wiki/page", "wiki"),
    ("proxy:443", "proxy"),
    ("\\\\nas\\payroll\\kim.xlsx", "nas"),
    ("ssh kim@db-master", "kim"),
    ("192.168.10.4:8080", "192"),
    ("00:1B:44:11:3A:B7", "1B"),
    ("00-1B-44-11-3A-B7", "1B"),
    ("001b.4411.3ab7", "4411"),
    ("16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", "a5:76"),
    ("postgres://kim:hunter2@db.acme.internal:5432/pay", "hunter2"),
    # numbers of people and things
    ("여권 M123A4567", "M123A4567"),
    ("passport M123A4567 - PDF", "123A4567"),
    ("여권 M12345678", "12345678"),
    ("TR1234567", "1234567"),
    ("900101-1234567", "1234567"),
    ("900101-1", "900101"),
    ("123-45-6789", "6789"),
    ("11-12-123456-78", "123456"),
    ("1234-5678-9012-3456", "9012"),
    ("4111 1111 1111 1111", "1111 1111"),
    ("010-1234-5678", "5678"),
    ("+82 10 1234 5678", "5678"),
    ("02)123-4567", "4567"),
    ("110-234-567890", "567890"),
    ("1Z999AA10123456784", "0123456784"),
    ("주문 20250902-000123", "000123"),
    ("Meeting ID: 812 3456 7890", "3456"),
    ("37.5665, 126.9780", "126"),
    ("S-1-5-21-3623811015-3361044348-30300820-1013", "3623811015"),
    # paths and URLs
    ("C:\\Users\\kim\\tax.xlsx", "kim"),
    ("/home/kim/.ssh/id_rsa", "kim"),
    ("https://a.com/?token=abcdef&user=kim", "kim"),
    ("a.com/reset/abcdef", "abcdef"),
    ("discord.gg/abcdefg", "abcdefg"),
    ("otpauth://totp/Acme:kim?secret=JBSWY3DP", "JBSWY3DP"),
    ("https://hooks.slack.com/services/T0/B0/abcdef", "abcdef"),
]


@pytest.mark.parametrize(("text", "private"), SECRETS)
def test_a_secret_or_a_private_text_is_masked(text: str, private: str) -> None:
    left = title_of(text)

    assert private not in left
    assert left == title_of(left), "what is left is left as it is"


TOKENS = [key(0, "", LOWER, 24), key(1, "", LETTERS, 16), key(2, "", LETTERS, 32), key(3, "", MIXED, 20)]
LINKS = [
    "https://a.com/reset/{}",
    "https://a.com/password-reset/{}",
    "https://a.com/reset-password/{}",
    "https://a.com/verify/{}",
    "https://a.com/confirm-email/{}",
    "https://a.com/activate/{}",
    "https://a.com/invite/{}",
    "https://a.com/unsubscribe/{}",
    "https://a.com/magic-link/{}",
    "https://a.com/{}",
    "https://a.com/s/{}",
    "https://{}.a.com/",
]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("token", TOKENS)
def test_a_token_in_a_path_never_leaves(token: str, link: str) -> None:
    assert token.lower() not in site_of(link.format(token))


@pytest.mark.parametrize("short", ["abcdef", "qwertyui", "letmein-now"])
@pytest.mark.parametrize("link", LINKS[:9])
def test_nor_does_a_short_one_behind_a_word_that_says_so(short: str, link: str) -> None:
    assert short not in site_of(link.format(short))


@pytest.mark.parametrize(
    "url", ["https://kim%40corp.com@a.com/", "https://a.com/kim%40corp.com", "https://a.com/kim@corp.com"]
)
def test_no_e_mail_address_in_a_url_leaves(url: str) -> None:
    assert "kim" not in site_of(url)


HARMLESS = """
README.md — pomocore - Visual Studio Code
AbstractSingletonProxyFactoryBean.java - IntelliJ IDEA
Main.java – focus-timer – Git: main
docker-compose.yml - focus-timer
package.json
test_questions.py - pytest
index.html – WebStorm
main.go:120
error code 404
Error code 1603 - Windows Installer
HTTP status code 5003
exit code 1370
오류 코드 1603
에러 코드 0x80
우편 코드 1234
VS Code 1.95.3
Visual Studio Code 2022
Xcode 16.1
Code 128 vs Code 39
QR code 1234 scanner
area code 1234
Code Geass 2006
코드 2024
code of conduct
Source code 2023
클린 코드 - 리디북스
Bar code 1234
Python 3.12 documentation
Python 3.11.9
Chrome 131.0.6778.86
Node 22.11
Windows 11 업데이트
macOS Sequoia 15.1
iPhone 15 Pro
Galaxy S24 Ultra 256GB
RTX 4090 vs RTX 5090
H2O 분자 - Google 검색
BOJ 1000번 - Baekjoon
LeetCode 1235
Best of 2024
2023-2024 season
Dune (1984)
1984 - George Orwell
Blade Runner 2049
Severance S01E02
Breaking Bad S05E14 1080p60fps
One Piece 1123화
Formula 1 2024 - Monaco
FIFA 24
Apollo 13
Route 66
Area 51
AC/DC - Back In Black
TCP/IP, and/or UI/UX/Design
Client/Server Architecture
input/output
SHA-256, RFC-2616, UTF-8
ISO-8601
x264 h265 mp3tomp4 win10x64 x86_64 i18n
localhost:3000
localhost:8080 - Google Chrome
Chapter 12: The Return
Level 42
Step 3 of 5
Note: buy milk
Ratio 16/9
Password
Password manager - Settings
Forgot your password?
How to choose a strong password
Password Safe
Passwords - iCloud
비밀번호 찾기
비밀번호를 잊으셨나요?
비밀번호 변경 - 네이버
암호 화폐 시세
암호학 개론
아이디 찾기
인증 번호 안내
인증서 발급
토큰 이코노미
Token economy explained
Secret Garden
Secrets of the Universe
The Secret History
API key best practices
Access keys - AWS Console
Public key cryptography
PEM files explained
Bearer of bad news
Bear with me
Pinterest
Pin board
OTP explained
sk-learn tutorial for beginners
SK-II 공식몰
SK hynix 뉴스룸
key-value stores compared
pk-dashboard
npm_config_registry_mirror
token_bucket_algorithm
AKIRA - 1988
ASIA - Heat of the Moment
Meet the team
Meet - Google Chrome
Look at me now
Meet me at the dot
Dinner at eight
Back at home (at last)
Photos [at sunset]
email me
@home
banner.psd (RGB/8)
50/50
24/7 support
1920x1080
12,345원
C++ vs C#
A/B testing
Wi-Fi 6E
COVID-19
Boeing 737-800
Airbus A380
F-16
B-52s
MP3
4K HDR
5G
e2e tests
k8s cluster
산업 혁명 - 위키백과
강의자료_3주차.pdf – 12/48페이지
회의록 2차 초안
카카오톡
Counterrevolutionaries
internationalization
Donaudampfschifffahrtsgesellschaft
electroencephalography
Massachusetts Institute of Technology
incomprehensibilities
psychopharmacological
GitHubDesktopSetup
MySQLWorkbenchCommunity
JetBrainsToolbox
PowerPointPresentation
StarCraftRemastered
CounterStrikeGlobalOffensive
iCloudPhotosDaemon
""".strip().splitlines()


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    assert title_of(text) == text


def test_the_tables_are_long_enough() -> None:
    assert len(FRAMES) * len(KEYS) + len(SECRETS) >= 250
    assert len(set(HARMLESS)) >= 100


def noise() -> list[str]:
    pieces = [
        *(
            "a",
            "A",
            "1",
            "-",
            ".",
            "@",
            " ",
            ":",
            "/",
            "\\",
            "(",
            "[",
            "=",
            "%40",
            "code ",
            "코드",
            "인증번호",
            "pw",
            "pw:",
        ),
        *(
            "sk-",
            "sk_",
            "-----BEGIN A-----",
            "AKIA",
            "eyJ",
            "a-",
            "a.",
            "A1-",
            "a:",
            "[at]",
            " at ",
            " dot ",
            "골뱅이",
        ),
        *(
            "a1",
            "aA",
            "password ",
            "password is ",
            "Bearer ",
            "1 ",
            "1-",
            '"',
            "'",
            '="',
            "arn:aws:",
            "a@ ",
            "00:",
            "/a",
        ),
    ]
    rng = Random(24)
    return pieces + ["".join(rng.choices(pieces, k=4)) for _ in range(60)]


@pytest.mark.parametrize("piece", noise())
def test_no_text_takes_long(piece: str) -> None:
    """Each takes some hundred microseconds here; a pattern that goes back and forth takes seconds."""
    text = piece * (100_000 // len(piece))
    best = min(_seconds(text) for _ in range(3))

    assert best < 0.05


def _seconds(text: str) -> float:
    started = process_time()
    QUESTIONS.of(Window(text, "", text))
    return process_time() - started
