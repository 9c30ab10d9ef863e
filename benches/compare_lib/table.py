"""The table, and how its figures are written."""

from __future__ import annotations

from dataclasses import dataclass

from audit_lib.report import Figures


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    measure: str
    aim: str
    gateway: str
    nginx: str = ""
    haproxy: str = ""
    ratio: str = ""
    met: bool | None = None


def written(value: float) -> str:
    """With three digits at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def compared(figures: Figures, name: str, measure: str, unit: str, scale: float, limit: float,
             least: bool = False) -> Row:
    """The figure `name` of all three, which is to be at most `limit` times nginx's, or with `least` at least."""
    values = [written(figures.median(f"{name} {who}") * scale) + unit for who in ("gateway", "nginx", "HAProxy")]
    ratio = figures.ratio(f"{name} gateway", f"{name} nginx")
    met = ratio >= limit if least else ratio <= limit
    return Row(measure, f"{'≥' if least else '≤'} {limit:.1f} × nginx", *values, f"{ratio:.2f}", met)


def print_table(rows: list[Row]) -> None:
    print("\n| measure | aim | gateway | nginx | HAProxy | ratio | |\n|---|---|---|---|---|---|---|")
    for row in rows:
        met = "" if row.met is None else "met" if row.met else "missed"
        print(f"| {row.measure} | {row.aim} | {row.gateway} | {row.nginx} | {row.haproxy} | {row.ratio} | {met} |")
