"The rows of the tables are those of the games, and each has a colour and a meaning."

from posegen.adversaries import ADVERSARIES
from posegen.report.rows import MEANING, PUBLISHED, ROWS, in_order
from posegen.report.style import COLOURS


def test_every_adversary_has_a_row():
    assert list(ROWS) == list(ADVERSARIES)


def test_every_row_has_a_meaning_and_a_colour():
    assert set(ROWS.values()) <= set(MEANING) == set(COLOURS)
    assert all(set(rows) <= set(MEANING) for rows in PUBLISHED.values())
    assert in_order(reversed(list(MEANING))) == list(MEANING)
