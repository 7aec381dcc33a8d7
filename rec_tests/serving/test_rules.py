import pytest

from rec_assets.serving.rules import BadRules, RulesFile, parse

GOOD = b"""
[[rule]]
name = "in stock"
only = "stock > 0"

[[rule]]
name = "sale"
placements = ["home"]
from = 2026-03-01T00:00:00Z
until = 2026-04-01T00:00:00Z
boost = "on_sale"
factor = 2.0

[[rule]]
name = "one per seller"
cap = "seller"
most = 1
"""
MARCH, MAY = 1_773_000_000.0, 1_777_600_000.0


def names(rules, placement, now):
    return [rule.name for rule, _ in rules.holding(placement, now)]


def test_a_rule_holds_for_its_placements_and_its_time():
    rules = parse(GOOD)
    assert names(rules, "home", MARCH) == ["in stock", "sale", "one per seller"]
    assert names(rules, "home", MAY) == ["in stock", "one per seller"]
    assert names(rules, None, MARCH) == ["in stock", "one per seller"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[[rule]\n", "no TOML"),
        (b"rules = 3", "only .*rule.* tables"),
        (b'[[rule]]\nname = "x"', "exactly one of only, hide"),
        (b'[[rule]]\nname = "x"\nonly = "a > 1"\nhide = "b > 1"', "found only, hide"),
        (b'[[rule]]\nname = "x"\nonly = "price <"', "filter not understood"),
        (b'[[rule]]\nname = "x"\nboost = "sale"', "boost and factor go together"),
        (b'[[rule]]\nname = "x"\nfresh = 1', "fresh: Extra inputs"),
        (b'[[rule]]\nname = "x"\ndiversity = 3', "diversity: .*less than or equal to 1"),
        (b'[[rule]]\nname = "x"\nfrom = 2026-03-01T00:00:00\nonly = "a"', "says its zone"),
        (b'[[rule]]\nname = "x"\nonly = "a"\n[[rule]]\nname = "x"\nonly = "b"', "two rules are called 'x'"),
        (b"rule = [3]", "rule 1"),
    ],
)
def test_what_cannot_be_used_is_named(content, told):
    with pytest.raises(BadRules, match=told):
        parse(content)


def test_a_changed_file_counts_and_a_broken_one_leaves_the_rules_as_they_were(tmp_path):
    path = tmp_path / "rules.toml"
    file = RulesFile(path)
    assert len(file.rules) == 0
    path.write_bytes(GOOD)
    assert file.refresh()
    version = file.rules.version
    assert (len(file.rules), file.error) == (3, None)
    path.write_bytes(GOOD + b"[[rule]")
    assert file.refresh()
    assert (len(file.rules), file.rules.version) == (3, version)
    assert "no TOML" in file.error
    assert not file.refresh()
    path.unlink()
    assert file.refresh()
    assert (len(file.rules), file.error) == (0, None)
