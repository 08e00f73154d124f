"""What the User-Agents of bots look like: programs that ask without a person who waits.

The names are facts collected by the ua-parser project (uap-core, Apache License 2.0), from the
part of its list that tells crawlers, monitors, preview makers and HTTP libraries from browsers.
All patterns are searched for anywhere in an agent, and case matters.
"""

from __future__ import annotations

# Names that stand for a bot wherever they occur; each line is a pattern.
_NAMES = r"""
(?:[a-zA-Z]{1,30}-|)Googlebot
123metaspider-Bot
1470\.net crawler
50\.nu
8bo Crawler Bot
[Bb]ai[Dd]u[Ss]pider(?:-[A-Za-z]{1,30})
[Cc]harlotte
\b\w{0,30}favicon\w{0,30}\b
\bYeti
^NING
^vortex
^voyager
^Zao
^Zao-Crawler
Aboundex
Accoona-[A-z]{1,30}-Agent
AdsBot-Google
altavista
AppEngine-Google
ArcGIS Hub Indexer
archive.{0,30}\.org_bot
archiver
Ask Jeeves
bingbot
BingPreview
blitzbot
BlogBridge
Bloglovin
BoardReader Blog Indexer
BoardReader Favicon Fetcher
boitho.com-dc
BotName\/\$BotVersion
BotSeer
BUbiNG
Catchpoint
Checklinks
Cityreview Robot
clumboot
Comodo HTTP\(S\) Crawler
Comodo-Webinspector-Crawler
ConveraCrawler
CRAWL-E
CrawlConvera
CrawlDaddy
CrawlFire
CSimpleSpider
Daumoa
Feed Seeker Bot
Feedbin
Finderbots
findlinks
Flamingo_SearchEngine
FollowSite Bot
furlbot
Genieo
gigabot
GomezAgent
gonzo1
Google SketchUp
Google-InspectionTool
GoogleOther
GPTBot
grub-client
gsa-crawler
heritrix
HiddenMarket
holmes
HooWWWer
htdig
ia_archiver
Icarus6j
ICC-Crawler
ichiro
IconSurf
IlTrovatore
Index crawler
InfuzApp
Innovazion Crawler
InternetArchive
IP2[a-z]{1,30}Bot
jbot\b
Job Roboter
KaloogaBot
KiwiStatus Spider
Kraken
Kurzor
larbin
LEIA
LesnikBot
Lijit Crawler
Linguee Bot
LinkAider
LinkedInBot
Lite Bot
Llaut
lycos
Mail\.RU_Bot
masidani_bot
masscan
Mediapartners-Google
Microsoft .{0,30} Bot
MJ12bot
mogimogi
mozDex
msnbot
msrbot
Mtps Feed Aggregation System
netresearch
Netvibes
NewsGator[^/]{0,30}
Nutch[^/]{0,30}
Nymesis
ObjectsSearch
OgScrper
OOZBOT
Orbiter
PagePeeker
PagesInventory
PaxleFramework
Peeplo Screenshot Bot
PHPCrawl
PlantyNet_WebRobot
Pompos
QuerySeekerSpider
Qwantify
Read%20Later
Reaper
RedCarpet
Retreiver
Riddler
Rival IQ
ScollSpider
scooter
Scrapy
Scrubby
searchsight
seekbot
semanticdiscovery
SemrushBot
SEOstats
SimplePie
SimpleRSS
Simpy
SiteCat Webbot
SiteCon
Slack-ImgProxy
Slackbot-LinkExpanding
Slurp
snappy
Speedy Spider
Squrl Java
Stringer
TheUsefulbot
Thumbshots\.ru
ThumbShotsBot
Tiny Tiny RSS
Trends Crawler
Twitterbot
URL2PNG
USyd-NLP-Spider
Vagabondo
VoilaBot
Votay bot
WASALive.Bot
Web-sniffer
WebThumb
WeSEE:[A-z]{1,30}
WhatsApp
WhatWeb
WIRE
WordPress
Wotbox
www\.almaden\.ibm\.com
Xenu(?:.s|) Link Sleuth
Xerka [A-z]{1,30}Bot
yacy
Yahoo! Slurp
YahooSeeker
Yandex\w{1,30}
YodaoBot
YottaaMonitor
Yowedo
ZeBot_www\.ze\.bz
ZooShot
ZyBorg
"""

# Names that do so before a version only: alone they are words like any other.
_VERSIONED = """
008 Altresium Argus BaiduMobaider BoardReader DNSGroup DataparkSearch EDI Goodzer Grub INGRID
Infohelfer LinkedInBot LOOQ Nutch OgScrper PathDefender Peew PostPost Steeler Twitterbot VSE
WebCrunch WebZIP Y!J-BR[A-Z] YahooSeeker envolk sproose wminer
"""

# Libraries and tools that make requests for programs.
_LIBRARIES = """
Google-HTTP-Java-Client Apache-HttpClient Go-http-client scalaj-http http%20client Python-urllib
HttpMonitor TLSProber WinHTTP JNLP okhttp aihttp reqwest axios
unirest-(?:java|python|ruby|nodejs|php|net)
"""

# The same for stores of objects.
_STORES = r"""
Boto3? JetS3t s3fs aws-cli
aws-sdk-(?:cpp|go|go-v\d|java|nodejs|ruby2?|dotnet-(?:\d{1,2}|core))
"""

_KINDS = "[Aa]rchiver [Ii]ndexer [Ss]craper [Bb]ot [Ss]pider [Cc]rawl[a-z]{0,50}"


def _one_of(patterns: str, separator: str | None = None) -> str:
    return f"(?:{'|'.join(patterns.strip().split(separator))})"


PATTERNS = (
    r"Pingdom\.com_bot_version_\d+\.\d+",
    r"facebookexternalhit/\d+\.\d+",
    r"Google.*/\+/web/snippet",
    r"Twitterbot/\d+\.\d+",
    r" PTST/\d+(?:\.\d+)?$",
    rf"\b{_one_of(_STORES)}/\d+\.\d+",
    # "/SomeBot 1.0", "/some-spider-2"
    r"/(?:Nutch|Ant-Nutch|[A-z]+[Bb]ot|[A-z]+[Ss]pider)[ -]\d",
    r"/(?:Axtaris|fetchurl|Isara|ShopSalad|Tailsweep)[ -]\d",
    rf"\b{_one_of(_VERSIONED)}/\d",
    r"MSIE \d+\.\d+[a-z]?\d?;.* MSIECrawler",
    _one_of(_LIBRARIES),
    _one_of(_NAMES, "\n"),
    # "some bot/1.0", "Some Crawler 2"
    rf"{_one_of(_KINDS)}[/ ]\d",
    r"[Ss][Pp][Ii][Dd][Ee][Rr]|[Ss]crape|[Cc][Rr][Aa][Ww][Ll]",
)
