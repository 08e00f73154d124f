"""bot-detection."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.plugins.bot_detection.handler import BotDetection
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest


def access(*agents: str, **config: Any) -> Answer | None:
    headers = [(b"user-agent", agent.encode("latin-1")) for agent in agents]
    return PluginRunner(BotDetection(), config).access(FakeRequest(headers=headers))


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/129.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
        "Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Opera/9.80 (Windows NT 6.2; Win64; x64) Presto/2.12.388 Version/12.17",
        "Lynx/2.8.8dev.3 libwww-FM/2.14 SSL-MM/1.4.1",
        "curl/8.5.0",
        "Wget/1.21",
        "",
        "\xff\xfe",
    ],
)
def test_people_pass(agent: str) -> None:
    assert access(agent) is None


def test_who_does_not_say_passes() -> None:
    assert access() is None


@pytest.mark.parametrize(
    "agent",
    [
        "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Mozilla/5.0 (compatible) Feedfetcher-Google (+https://developers.google.com/+/web/snippet/)",
        "Twitterbot/1.0",
        "Boto3/1.28.62 md/Botocore#1.31.62",
        "aws-sdk-go/1.44.261 (go1.19.8; darwin; arm64)",
        "Mozilla/5.0 (X11; Linux x86_64) Chrome/98.0 Safari/537.36 PTST/220202",
        "Mozilla/5.0/Firefox/42.0 - nbertaupete95(at)gmail.com/SomeBot-1.2",
        "Steeler/3.5 (http://www.tkl.iis.u-tokyo.ac.jp/~crawler/)",
        "Mozilla/4.0 (compatible; MSIE 6.0b; Windows NT 5.0; MSIECrawler)",
        "Go-http-client/1.1",
        "okhttp/4.9.1",
        "Python-urllib/3.11",
        "Apache-HttpClient/4.5 (Java/1.8)",
        "axios/1.6.7",
        "  Googlebot/2.1 (+http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; YandexImages/3.0; +http://yandex.com/bots)",
        "HTTP_Request2/2.2.1 (http://pear.php.net/package/http_request2) PHP/5.3 myspider",
        "My Own Scraper/1.0",
        "GPTBot/1.2",
        "NING/1.0",
        f"{'x' * 600} Googlebot/2.1",
    ],
)
def test_bots_are_refused(agent: str) -> None:
    assert access(agent) == Answer(403, b"", [], "Forbidden")


@pytest.mark.parametrize("agent", ["x NING", "Pandora", "Steeler", "twitterbot"])
def test_a_name_counts_where_it_stands_and_as_it_is_written(agent: str) -> None:
    assert access(agent) is None


def test_the_configuration_comes_first() -> None:
    assert access("curl/8.5.0", deny=["curl"]).status == 403
    assert access("Googlebot/2.1", allow=["^Googlebot"]) is None
    assert access("curl/8.5.0", allow=["curl"], deny=["curl"]) is None


def test_two_agents_are_one_too_many() -> None:
    answer = access("curl/8.5.0", "curl/8.5.0")
    assert answer == Answer(400, b"", [], "Only one User-Agent header allowed")
