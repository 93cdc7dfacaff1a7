"""Exact amounts, sizes and natural order (matching.md V1, V2, V4, A2)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from autoscale_aks.units import (
    MEMORY_UNITS,
    Size,
    exact,
    exact_text,
    format_number,
    format_size,
    format_value,
    natural_key,
    number_of,
    parse_decimal,
    parse_size,
    parse_value,
    size_text,
)

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("20g", 20 * GIB), ("size::20g", 20 * GIB), ("memory::4g", 4 * GIB), ("4gb", 4 * GIB), ("1.5g", GIB * 3 // 2),
        ("1b", 1), ("7", 7), ("1k", 1024), ("1m", 1024**2), ("1t", 1024**4), ("1p", 1024**5), ("1kb", 1024),
        ("1mb", 1024**2), ("1tb", 1024**4), ("1K", 1000), ("1M", 10**6), ("1G", 10**9), ("1T", 10**12),
        ("1P", 10**15), (" 2 g ", 2 * GIB), ("0g", 0), ("0.1g", Fraction(GIB, 10)),
    ],
)  # fmt: skip
def test_v1_lower_case_is_1024_and_upper_case_1000(text: str, amount: int | Fraction) -> None:
    assert parse_size(text) == Size(amount)


@pytest.mark.parametrize(
    "text", ["", "g", "4x", "4gg", "-1g", "memory::", "memory:: ", "size::-3g", "4 4g", "1e3g", "0x10", "4GB"]
)
def test_v1_a_bad_size_is_an_error_that_names_the_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|suffix|negative") as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


def test_v1_a_tenth_and_two_tenths_are_three_tenths() -> None:
    assert parse_size("0.1g").bytes + parse_size("0.2g").bytes == parse_size("0.3g").bytes
    assert exact(0.1) * 40 == 4
    assert exact(0.1) + exact(0.2) == exact(0.3)


def test_v1_an_absurdly_long_size_is_refused_and_shown_short() -> None:
    with pytest.raises(ValueError, match=r"size|range") as caught:
        parse_size("9" * 5000 + "g")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), -float("inf"), Decimal("NaN"), Decimal("1e61"), Decimal("1e-61"), True]
)
def test_v1_what_is_no_finite_number_is_refused(number: float | Decimal) -> None:
    with pytest.raises(ValueError, match=r"number|range"):
        exact(number)


def test_v1_whole_results_are_integers() -> None:
    for written in (2.0, Decimal("2.00"), Fraction(4, 2), 2):
        assert exact(written) == 2
        assert isinstance(exact(written), int)


def test_v1_memory_names_are_views_of_bytes() -> None:
    assert MEMORY_UNITS == {"memb": 1, "memkb": 1024, "memmb": 1024**2, "memgb": GIB, "memtb": 1024**4}


def test_v2_booleans_are_never_numbers() -> None:
    assert number_of(True) is None
    assert number_of(False) is None
    assert parse_value(True) is True


def test_number_of_is_for_numbers_and_sizes_only() -> None:
    assert [number_of(value) for value in (3, Fraction(1, 2), Size(7), "3", None)] == [3, Fraction(1, 2), 7, None, None]


def test_parse_value_reads_sizes_only_behind_their_prefix() -> None:
    assert parse_value("memory::4g") == Size(4 * GIB)
    assert parse_value("4g") == "4g"
    assert parse_value(Decimal("0.5")) == Fraction(1, 2)
    assert parse_value(None) is None


@pytest.mark.parametrize("raw", [[], {}, object()])
def test_parse_value_refuses_what_is_not_a_scalar(raw: object) -> None:
    with pytest.raises(ValueError, match="expected a number, string, boolean or null"):
        parse_value(raw)


def test_a2_natural_order_puts_2_before_10() -> None:
    names = ["htc-10", "htc-2", "htc-1", "hpc-3", "htc", "htc-02", "x9y10", "x9y9"]
    assert sorted(names, key=natural_key) == ["hpc-3", "htc", "htc-1", "htc-2", "htc-02", "htc-10", "x9y9", "x9y10"]


def test_a2_natural_order_takes_digit_runs_of_any_length() -> None:
    assert natural_key("n" + "9" * 6000) < natural_key("n1" + "0" * 6000)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(GIB, "1g"), (460 * GIB, "460g"), (GIB * 3 // 2, "1.5g"), (1024, "1k"), (1, "1b"), (0, "0b"), (1500, "1500b")],
)
def test_sizes_are_written_in_the_largest_unit_that_is_exact(amount: int, text: str) -> None:
    assert format_size(amount) == text
    assert str(Size(amount)) == text


@pytest.mark.parametrize("amount", [0, 1, 1023, 10**9, GIB, Fraction(GIB, 10), Fraction(1, 8), 7 * 1024**5 + 1])
def test_c4_a_written_size_parses_to_an_equal_one(amount: int | Fraction) -> None:
    assert parse_value(size_text(Size(amount))) == Size(amount)


def test_numbers_are_written_shortest() -> None:
    assert [format_number(number) for number in (3, Fraction(1, 2), Fraction(1, 3), Fraction(6, 2))] == [
        "3",
        "0.5",
        "0.333333",
        "3",
    ]


def test_c4_exact_text_keeps_every_digit() -> None:
    assert exact_text(Fraction(-1, 8)) == "-0.125"
    assert exact_text(exact(Decimal("0.1234567890123456789"))) == "0.1234567890123456789"
    with pytest.raises(ValueError, match="no finite decimal form"):
        exact_text(Fraction(1, 3))


def test_values_are_shown_as_a_person_writes_them() -> None:
    assert [format_value(value) for value in (None, True, False, 2, Size(GIB), "x")] == [
        "null",
        "true",
        "false",
        "2",
        "1g",
        "x",
    ]


def test_json_decimals_keep_their_digits() -> None:
    assert parse_decimal("0.10") == Decimal("0.10")
    with pytest.raises(ValueError, match="is not a number"):
        parse_decimal("zero")
