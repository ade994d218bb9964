"""Reads the spellings that platforms give to the names of apps as the names that people and patterns use.

A name is first compared as it stands (`words.py`). Where no pattern matches it that way, it is read in these ways,
in this order; what may follow a name (`only_qualifiers`) may follow each reading:

| spelling                                          | example                             | read as                  |
|---------------------------------------------------|-------------------------------------|--------------------------|
| the same words, joined otherwise                  | `PrismLauncher`, `네이버웨일`       | Prism Launcher, …        |
| a count of what is unread in front                | `(2) WhatsApp`                      | WhatsApp                 |
| a name of the table below                         | `Navigator`, `서체 관리자`          | Firefox, Font Book       |
| an executable: joined words, a word length, a     | `DiscordPTB`, `obs64`, `Cubase13`   | Discord PTB, OBS, Cubase |
| version of two digits or more                     |                                     |                          |
| what a build or a toolkit adds                    | `firefox-bin`, `calibre-gui`        | Firefox, calibre         |
| a reversed domain (macOS, Flatpak, D-Bus)         | `com.figma.Desktop`, `org.kde.ark`  | Figma Desktop, Ark       |
| a package of the Microsoft Store                  | `Microsoft.Paint_8wekyb3d8bbwe!App` | Paint                    |
| a snap                                            | `firefox_firefox`                   | Firefox                  |
| the bundle around a program                       | `/…/Slack.app/Contents/MacOS/x`     | Slack                    |
| the maker or the platform in front                | `Microsoft OneNote`, `jetbrains-…`  | OneNote, …               |

Behind a maker only patterns of one word are found: in a name of several words the maker is often part of the name
(`Microsoft Store` is not `Store`, and `Google Play` is not `Play`).
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from domains.patternClassifier.words import base_name, is_qualifier, split_name


class Spelling(StrEnum):
    """How a name was read."""

    JOINED = "joined"
    COUNTED = "counted"
    KNOWN = "known"
    PROGRAM = "program"
    REVERSED_DOMAIN = "reversed domain"
    PACKAGE = "package"
    BUNDLE = "bundle"
    MAKER = "maker"


class Reading(NamedTuple):
    """A name as folded words. Of `MAKER`, only a pattern of one word may match."""

    words: list[str]
    spelling: Spelling


def joined(words: list[str]) -> str:
    """The common form of spellings that differ only in spaces, hyphens and dots."""
    return "".join(words).replace(".", "")


def readings(name: str) -> Iterator[Reading]:
    """The ways to read an app's name that no pattern matches as it stands, the surest first. Never raises."""
    for reading in _spelled(name):
        words = reading.words
        yield reading
        for end in range(len(words), 0, -1):
            if (usual := KNOWN_NAMES.get(joined(words[:end]))) is not None:
                behind = [word.lstrip(".") for word in words[end:]]
                yield Reading([*usual, *behind], Spelling.KNOWN)
        for end in (2, 1):
            if len(words) > end and joined(words[:end]) in _MAKERS:
                yield Reading(words[end:], Spelling.MAKER)


def _spelled(name: str) -> Iterator[Reading]:
    text = base_name(name)
    words = split_name(text)
    if not 0 < len(words) <= _MOST_WORDS:
        return
    yield Reading(words, Spelling.JOINED)
    if count := _COUNT.match(text):
        text = text[count.end() :]
        yield Reading(split_name(text), Spelling.COUNTED)
    if not _BLANK.search(text):
        yield from _of_identifier(text)
    if bundle := _BUNDLE.search(name):
        yield Reading(split_name(bundle[1]), Spelling.BUNDLE)


def _of_identifier(text: str) -> Iterator[Reading]:
    """The readings of a name without spaces."""
    package = _PACKAGE.fullmatch(text)
    labels = (package[1] if package else text).split(".")
    if package or (len(labels) == 2 and labels[0].lower() in _MAKERS):
        yield from _of_program(" ".join(labels[1:] or labels), Spelling.PACKAGE)
    elif len(labels) > 1 and labels[0].lower() in _TOP_LEVEL:
        yield from _of_reversed_domain(labels[1:])
    else:
        yield from _of_program(text, Spelling.PROGRAM)


def _of_program(text: str, spelling: Spelling) -> Iterator[Reading]:
    """The words that capitals divide, and then the words without additions of builds."""
    words = split_name(_HUMP.sub(" ", text))
    half = len(words) // 2
    if half and words[:half] == words[half:]:  # a snap: firefox_firefox
        words = words[:half]
    yield Reading(words, spelling)
    while len(words) > 1 and words[-1] in _TECHNICAL:
        words = words[:-1]
    if words and (number := _NUMBER_AT_END.fullmatch(words[-1])):
        words = [*words[:-1], number[1] or number[2]]
    yield Reading(words, spelling)
    if words and (tail := _GLUED_TAIL.fullmatch(words[-1])):
        yield Reading([*words[:-1], tail[1], *([tail[2]] if is_qualifier(tail[2]) else [])], spelling)


def _of_reversed_domain(labels: list[str]) -> Iterator[Reading]:
    """The readings of a reversed domain. `labels` follow the top-level domain: maker, product and others."""
    while len(labels) > 1 and labels[-1].lower() in _TECHNICAL:
        labels = labels[:-1]
    ways = [labels, labels[1:], labels[-1:]]
    if labels[0].lower() not in _MAKERS | _MAKERS_OF_MANY:
        ways.append(labels[:1])
    for way in ways:
        if way:
            words = split_name(_VERSION_AT_END.sub(r" \1", _HUMP.sub(" ", " ".join(way))))
            yield Reading(words, Spelling.REVERSED_DOMAIN)
            if words and (glued := _GLUED_TAIL.fullmatch(words[-1])):
                yield Reading([*words[:-1], *glued.groups()], Spelling.REVERSED_DOMAIN)


# --------------------------------------------------------------------------------------------- tables

_MOST_WORDS = 32
"""No name has more; and each reading is compared at the end of each of its words."""
_BLANK = re.compile(r"\s")
_COUNT = re.compile(r"\s*(?:[(\[]\d{1,5}\+?[)\]]|[●•])\s*(?=\S)")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER_AT_END = re.compile(r"(.{2,}?)(?:x?(?:32|64)|x86)|([^\W\d]{4,})\d{2,4}")
_VERSION_AT_END = re.compile(r"(?<=[a-zA-Z]{3})(\d{1,4})(?=\s|\Z)")
_GLUED_TAIL = re.compile(
    r"(.{3,}?)(for(?:desktop|mac|windows|linux)|desktop|client|portable|launcher|helper|app|osx|macos|mac|win|linux"
    r"|nightly|canary|beta|insiders|developeredition|ptb|dev|qt|gtk|gui|bin)"
)
_PACKAGE = re.compile(r"([\w.-]+?)_[a-z0-9]{13}(?:![\w.-]*)?")
_BUNDLE = re.compile(r"[\\/]([^\\/]{1,100})\.app[\\/]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TOP_LEVEL = _words("""
    com org net io app dev us me co ai tv im md so info edu gov eu uk de fr nl ch at be se no fi dk it es pt pl cz ru
    ua jp kr cn tw hk in au nz ca br mx company team page cc fm gg sh xyz id ly is re ac one cloud software tech
    studio design rest chat ie il tr gr ro hu sk si lt lv ee vn th sg my ph ms to ws la ink live pro top site online
""")
_MAKERS = _words("""
    microsoft ms apple adobe apache mozilla jetbrains autodesk corel oracle gnu ibm tencent netease cyberlink
    wondershare samsung lg lenovo dell hp asus canonical valve ubisoft ea nvidia amd intel cisco foxit hancom haansoft
    ahnlab estsoft naver kakao daum nhn windows macos gnome kde xfce mate lxqt lxde deepin pantheon elementary ubuntu
    마이크로소프트 애플 어도비 오라클 한컴 한글과컴퓨터 이스트소프트 안랩 네이버 카카오 다음 삼성 엘지 윈도우 윈도우즈
    시스코 오토데스크
""")
"""Makers and platforms that stand in front of a name that is known without them."""
_MAKERS_OF_MANY = _words("""
    google amazon facebook meta github gitlab codeberg sourceforge freedesktop electron todesktop squirrel setapp
    alibaba bytedance yahoo sony nintendo atlassian zoho x
""")
"""Further makers in reversed domains, which are not products themselves."""
_TECHNICAL = _words("""
    app application client desktop general main gui bin exe electron default release aurora trunk qt qt5 qt6 gtk
    gtk3 gtk4 x11 wayland launcher shipping 32 64 x64 x86 mac macos osx
""")
"""Words that builds and toolkits add to a program's name, or that are often the last label of a reversed domain."""
_NAMES = """
    # ---- programs, window classes and ids that do not say what the app is called
    GitHub Desktop: io.github.shiftey.Desktop
    Visual Studio Code: vscode, code-url-handler, vscode-url-handler
    IntelliJ IDEA: IntelliJ, idea, jetbrains-idea
    Android Studio: jetbrains-studio
    Firefox: Navigator, firefoxdeveloperedition, org.mozilla.nightly
    Thorium: thorium-browser
    Microsoft Edge: edgemac
    Arc: company.thebrowser.Browser
    Dia: company.thebrowser.dia
    Tor Browser: torbrowser, torproject.torbrowser
    Cursor: com.todesktop.230313mzl4w4u92
    Terminal: kgx, org.gnome.Console, ptyxis, lxterminal, xfce4-terminal, mate-terminal, pantheon-terminal
    GNOME Terminal: gnome-terminal, gnome-terminal-server
    Python: python2, python3
    Sourcetree: SourceTreeNotMAS
    Bruno: usebruno
    DBeaver: org.jkiss.dbeaver.core.product
    OrbStack: dev.kdrag0n.MacVirt
    VMware Workstation: vmware
    Postman: com.postmanlabs.mac
    QEMU: qemu-system, qemu-kvm
    Qt Creator: org.qt-project.qtcreator
    GitHub Desktop: com.github.GitHubClient
    Simulator: com.apple.iphonesimulator
    Script Editor: ScriptEditor2
    OBS Studio: com.obsproject.Studio
    Adobe XD: XD
    HandBrake: ghb
    CapCut: com.lemon.lvoverseas
    MuseScore: MuseScore3, MuseScore4, mscore
    Xournal++: xournalpp
    GeForce NOW: com.nvidia.gfnpc
    Nicotine+: nicotine_plus
    Kodi: kodi.bin
    Final Cut Pro: com.apple.FinalCut, com.apple.FinalCutApp, fcpx
    Logic Pro: com.apple.logic10, Logic Pro X
    Motion: motionapp
    iMovie: iMovieApp
    DaVinci Resolve: DaVinci Resolve Studio, resolve.bin
    Ableton Live: Ableton Live Intro
    Slack: slackmacgap
    Zoom: us.zoom.xos, zoom.us, CptHost, zWebView2Agent
    Webex: Cisco-Systems.Spark, com.webex.meetingmanager, webexmta, atmgr
    Microsoft Teams: ms-teams_modulehost, Teams2
    Telegram: org.telegram.desktop, telegramdesktop
    WhatsApp: WhatsApp.Root
    Element: im.riot.Riot, im.riot.app
    Signal: signal-desktop, org.whispersystems.signal-desktop
    Messenger: com.facebook.archon, archon
    WeChat: xinWeChat, Weixin
    Messages: MobileSMS, iChat, iMessage
    Mail: Apple Mail, com.apple.mail, mail-calendar, HxOutlook
    Calendar: iCal, HxCalendarAppImm, Outlook Calendar
    Outlook: olk
    Contacts: AddressBook
    Notion: notion.id
    ChatGPT: com.openai.chat
    Claude: claudefordesktop
    1Password: onepassword
    Anki: net.ankiweb.dtop, AnkiMobile
    Craft: com.lukilabs.lukiapp
    Ulysses: com.ulyssesapp.mac
    Typora: abnerworks.Typora
    Spark: com.readdle.smartemail
    Kindle: com.amazon.Lassen
    Books: iBooksX
    QuickTime Player: QuickTimePlayerX
    Media Player: ZuneMusic, Microsoft.Media.Player, wmplayer
    Movies & TV: ZuneVideo, Video.UI
    Prime Video: com.amazon.aiv.AIVApp, AIVApp
    Google Drive: DriveFS, GoogleDriveFS
    Nautilus: org.gnome.Files
    KDE Dolphin: org.kde.dolphin
    Ark: org.kde.ark
    Steam: steamwebhelper, steam_app, steamservice
    LibreOffice: soffice, libreoffice-startcenter, oosplash
    LibreOffice Writer: swriter, libreoffice.writer
    LibreOffice Calc: scalc, libreoffice.calc
    LibreOffice Impress: simpress, libreoffice.impress
    LibreOffice Draw: sdraw, libreoffice.draw
    Microsoft Word: Winword
    Microsoft PowerPoint: Powerpnt
    Hwp: 한글 뷰어, HwpViewer, HangulViewer, HangulViewerMac, 한컴오피스 뷰어
    Remote Desktop Connection: mstsc
    Microsoft Remote Desktop: com.microsoft.rdc
    Parallels Desktop: com.parallels.desktop.console, prl_client_app
    System Information: SystemProfiler, msinfo32
    System Settings: systempreferences, gnome-control-center, systemsettings, systemsettings5, xfce4-settings-manager
    System Settings: unity-control-center, cinnamon-settings, io.elementary.switchboard
    Task Manager: gnome-system-monitor, plasma-systemmonitor, ksysguard, xfce4-taskmanager, mate-system-monitor
    Notification Center: notificationcenterui
    Screenshot: screencaptureui
    iPhone Mirroring: ScreenContinuity
    ScreenSaverEngine: com.apple.ScreenSaver.Engine
    Migration Assistant: MigrateAssistant
    Bluetooth File Exchange: BluetoothFileExchange, Bluetooth 파일 교환
    # ---- apps of macOS and Windows in Korean
    Font Book: 서체 관리자
    Installer: 설치 프로그램, com.apple.installer
    Archive Utility: 아카이브 유틸리티, 압축 유틸리티
    Script Editor: 스크립트 편집기
    Stickies: 스티커
    Sticky Notes: 스티커 메모
    Reminders: 미리 알림
    Notes: 메모, 메모 앱
    Notepad: 메모장
    Calendar: 캘린더, 달력, 일정
    Contacts: 연락처, 피플
    Mail: 메일
    Messages: 메시지
    Photos: 사진, 사진 앱
    Photo Booth: 포토 부스
    Preview: 미리보기
    TextEdit: 텍스트 편집기
    Dictionary: 사전
    Books: 도서
    Podcasts: 팟캐스트
    Stocks: 주식
    Freeform: 자유형식
    Home: 홈
    Shortcuts: 단축어
    Automator: 오토메이터
    Voice Memos: 음성 메모
    Voice Recorder: 음성 녹음기
    Image Capture: 이미지 캡처
    Digital Color Meter: 디지털 색상 측정기, 디지털 컬러 측정기
    Disk Utility: 디스크 유틸리티
    Directory Utility: 디렉토리 유틸리티, 디렉터리 유틸리티
    Network Utility: 네트워크 유틸리티
    Wireless Diagnostics: 무선 진단
    Feedback Assistant: 피드백 지원
    Screen Sharing: 화면 공유
    Mission Control: 미션 컨트롤
    Launchpad: 런치패드, 런치 패드
    Time Machine: 타임머신, 타임 머신
    Spotlight: 스포트라이트
    Finder: 파인더
    Keynote: 키노트
    Numbers: 넘버스
    Translate: 번역
    Chess: 체스
    Passwords: 암호 앱
    VoiceOver Utility: VoiceOver 유틸리티
    AirPort Utility: AirPort 유틸리티
    Parallels Desktop: 패러렐즈 데스크톱
    Movies & TV: 영화 및 TV
    Media Player: 미디어 플레이어, 윈도우 미디어 플레이어, Windows Media Player
    Groove Music: Groove 음악
    File Explorer: 파일 탐색기
    WordPad: 워드패드
    Paint 3D: 그림판 3D
    Phone Link: 휴대폰과 연결, 사용자 휴대폰, YourPhone, PhoneExperienceHost
    Task Manager: 작업 관리자
    Snipping Tool: 캡처 및 스케치
    Microsoft Store: WinStore, 마이크로소프트 스토어
    Settings: Windows 설정
    Get Help: 도움말 보기
    Xbox: 엑스박스
    Solitaire: 솔리테어, 카드놀이
    Minesweeper: 지뢰 찾기
    # ---- other products in Korean
    NAVER WORKS: 네이버 웍스, 라인 웍스, LINE WORKS
    Slack: 슬랙
    Notion: 노션
    Discord: 디스코드
    Zoom: 줌 워크플레이스
    Microsoft Teams: 마이크로소프트 팀즈
    YouTube: 유튜브
    Netflix: 넷플릭스
    Instagram: 인스타그램
    Facebook: 페이스북
    Telegram: 텔레그램
    Spotify: 스포티파이
    Steam: 스팀
    Visual Studio Code: 비주얼 스튜디오 코드
    Photoshop: 포토샵
    Excel: 엑셀
    Word: 워드
    PowerPoint: 파워포인트
    Outlook: 아웃룩
    OneNote: 원노트
    OneDrive: 원드라이브
    Dropbox: 드롭박스
    Evernote: 에버노트
    Obsidian: 옵시디언
    Minecraft: 마인크래프트
    Roblox: 로블록스
    League of Legends: LeagueClientUx, LeagueClient, 리그 오브 레전드, 롤
"""
"""`usual name: its spellings`."""


def _known_names() -> dict[str, list[str]]:
    known = {}
    for line in _NAMES.splitlines():
        usual, _, spellings = line.partition(":")
        for spelling in spellings.split(",") if spellings and "#" not in usual else ():
            known[joined(split_name(spelling))] = split_name(usual)
    return known


KNOWN_NAMES = _known_names()
