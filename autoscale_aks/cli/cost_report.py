"""`--explain-cost`: what a plan costs, how far from the least price that is, and what makes it dearer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autoscale_aks.cli.output import money, table
from autoscale_aks.reports.cost import binding_limits, bucket_rows, rule_rows, share_text, why_no_bound
from autoscale_aks.reports.words import duration_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from rich.console import Console

    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.reports.figures import SourceRow

explain_cost_option = click.option(
    "--explain-cost", is_flag=True, help="Cost by bucket, lower bound and gap, what binds, and what simple rules pay."
)


def print_cost(plan: Plan, policy: Policy, out: Console, sources: Sequence[SourceRow] = ()) -> None:
    """The report for people; of `sources` those that prices were read from, with their age (user ask T27a)."""
    rows = [(row.name, f"{row.machines:,}", money(row.price_per_hour)) for row in bucket_rows(plan)]
    out.print()
    out.print(table("Cost by bucket", ("bucket", "machines", "$/h"), rows, right=(1, 2)))
    for one in sources:
        if one.name.startswith("prices "):
            out.print(f"{one.name}: {one.detail}, {duration_text(one.age_s)} old", markup=False)
    certificate = plan.certificate
    out.print()
    if certificate is None:
        out.print(why_no_bound(plan, policy))
        return
    tried = [(row.name, money(row.price_per_hour), _share(row.over_bound)) for row in rule_rows(certificate)]
    out.print(table("Against the least price", ("", "$/h", "over the bound"), tried, right=(1, 2)))
    if certificate.kept:
        out.print(
            f"{money(certificate.kept)} $/h are nodes that stand as they were placed: price does not decide on them."
        )
    out.print()
    binding = [
        (one.kind.value, one.name, f"{one.left:,}", f"{float(one.price):.6f}") for one in binding_limits(certificate)
    ]
    if binding:
        columns = ("what binds", "of", "left before", "$/h one more would save")
        out.print(table("Limits", columns, binding, right=(2, 3)))
    else:
        out.print("No limit makes what is placed dearer.")


def _share(over: Fraction | None) -> str:
    """`1.250 %`, or nothing."""
    return "" if over is None else share_text(over)
