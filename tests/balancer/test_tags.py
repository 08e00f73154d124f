import pytest

from kongtx.balancer.tags import Extras, OutlierRules, parse_extras, zone_of


def test_everything_is_off_without_tags():
    assert parse_extras(None) == parse_extras(["team-a"]) == Extras()
    assert not OutlierRules()


def test_all_settings_are_read():
    extras = parse_extras(
        [
            "team-a", "kongtx:slow-start=30", "kongtx:zone-aware", "kongtx:divide-weight",
            "kongtx:outlier-errors=50", "kongtx:outlier-latency=3", "kongtx:outlier-requests=5",
            "kongtx:outlier-interval=2.5", "kongtx:outlier-ejection=9", "kongtx:outlier-most=20",
        ]
    )  # fmt: skip

    assert extras == Extras(30, True, True, OutlierRules(50, 3, 5, 2.5, 9, 20))
    assert extras.outliers


@pytest.mark.parametrize(
    "tag",
    [
        "kongtx:slow-start", "kongtx:slow-start=soon", "kongtx:slow-start=-1", "kongtx:moon",
        "kongtx:slow-start=nan", "kongtx:zone-aware=x", "kongtx:outlier-x=1",
        "kongtx:outlier-errors=",
    ],
)  # fmt: skip
def test_what_means_nothing_changes_nothing(tag):
    assert parse_extras([tag]) == Extras()


def test_zones():
    assert zone_of(["a", "kongtx:zone=eu-1"]) == "eu-1"
    assert zone_of(None) == zone_of(["zone=eu"]) == ""
