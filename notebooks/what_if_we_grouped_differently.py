"""What if we grouped differently? Other grouping fields or settings, and what becomes of every document.

marimo run notebooks/what_if_we_grouped_differently.py -- --book book
python notebooks/what_if_we_grouped_differently.py -- --book book --order-lines SoldTo --ungrouped separate
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="What if we grouped differently?")


@app.cell(hide_code=True)
def _():
    from datetime import date

    import altair as alt
    import marimo as mo
    import polars as pl
    import showing

    from billfold import RunRequest, settings
    from billfold.configure import show as configurations
    from billfold.errors import BillfoldError
    from billfold.grouping import OBJECTS, STANDARD, InvoiceGroup
    from billfold.lifecycle import runs as all_runs
    from billfold.whatif import compare

    return (
        BillfoldError,
        InvoiceGroup,
        OBJECTS,
        RunRequest,
        STANDARD,
        all_runs,
        alt,
        compare,
        configurations,
        date,
        mo,
        pl,
        settings,
        showing,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    # What if we grouped differently?

    Choose other rules and see what they would do to every document: a run is made twice in memory, under the rules of
    the book and under yours, and **nothing is written**.
    """)
    return


@app.cell(hide_code=True)
def _(showing):
    book = showing.opened()
    return (book,)


@app.cell(hide_code=True)
def _(all_runs, book, date, mo, showing):
    now = "what is due now"
    runs = {
        f"{r['bill_run_number']}, up to {r['target_date']}": r["bill_run_number"]
        for r in reversed(all_runs(book).to_dicts())
    }
    wanted = showing.argument("run")
    if wanted and wanted not in runs.values():
        showing.ended(f"There is no bill run {wanted}: `billfold runs` lists them.")
    first = next((label for label, number in runs.items() if number == wanted), next(iter(runs), now))
    latest = showing.ask(book, "SELECT max(bill_target_date) FROM order_line_items").item() or date.today()
    day = showing.argument("target-date")
    what = mo.ui.dropdown(
        {**runs, now: None}, value=now if day else first, allow_select_none=False, searchable=True, label="Which run"
    )
    target = mo.ui.date(value=day or latest, label="up to the target date")
    what
    return target, what


@app.cell(hide_code=True)
def _(mo, target, what):
    mo.vstack([target, mo.md("_The invoice date is the target date._")]) if what.value is None else mo.md(
        "_The run as it was asked, from what it read; choose “what is due now” for a new one._"
    )
    return


@app.cell(hide_code=True)
def _(OBJECTS, STANDARD, book, configurations, mo, settings, showing):
    def fields(objects):
        """What may be configured, by name: standard fields under the first name of several, and custom fields."""
        found = {}
        for each in objects:
            columns = {}
            for field, column in STANDARD[each].items():
                columns.setdefault(column, field)
            custom = [c for c in book.columns(OBJECTS[each]) if c.endswith("__c")]
            found |= {f"{each}.{f}": {"objectType": each, "field": f} for f in [*columns.values(), *custom]}
        return found

    def given(argument, options):
        """The fields that the command line names, with or without what they are a field of."""
        asked = [g.strip() for g in (showing.argument(argument) or "").split(",") if g.strip()]
        found = {g: next((o for o in options if g in {o, o.partition(".")[2]}), None) for g in asked}
        if unknown := [g for g, o in found.items() if o is None]:
            showing.ended(f"--{argument} can't be {unknown[0]}: it is one or more of {', '.join(options)}.")
        return list(found.values())

    of_charges, of_order_lines = fields(["Subscription", "RatePlanCharge"]), fields(["OrderLineItem"])
    charges_by = mo.ui.multiselect(
        of_charges, value=given("charges", of_charges), label="Group charges by", full_width=True
    )
    order_lines_by = mo.ui.multiselect(
        of_order_lines, value=given("order-lines", of_order_lines), label="Group order lines by", full_width=True
    )
    present = settings.show(book)
    as_it_is = {
        name: f"as it is: {present[name]}" for name in ("ungrouped", "consolidate_invoices", "document_type_rule")
    }
    rules = mo.ui.dictionary(
        {
            name: mo.ui.dropdown(
                {said: None} | {v: v for v in settings.allowed(name) if v != present[name]},
                value=showing.argument(name) or said,
                allow_select_none=False,
                label=name,
            )
            for name, said in as_it_is.items()
        }
    )
    configured = [g for g in configurations(book) if g["is_default"]]
    cleared = mo.ui.checkbox(label=f"without the present grouping {configured[0]['name'] if configured else ''}")
    go = mo.ui.run_button(kind="success", label="Compare")
    mo.vstack([
        mo.md("## Other rules"),
        charges_by,
        order_lines_by,
        *([cleared] if configured else []),
        mo.hstack(rules.elements.values(), justify="start", gap=2, wrap=True),
        go,
    ])  # fmt: skip
    return charges_by, cleared, go, order_lines_by, rules


@app.cell(hide_code=True)
def _(
    BillfoldError,
    InvoiceGroup,
    RunRequest,
    book,
    charges_by,
    cleared,
    compare,
    go,
    mo,
    order_lines_by,
    rules,
    showing,
    target,
    what,
):
    others = {name: value for name, value in rules.value.items() if value}
    sides = {"subscriptionGroup": charges_by.value, "orderLineItemGroup": order_lines_by.value}
    meta = {side: fields for side, fields in sides.items() if fields}
    grouping = InvoiceGroup.model_validate({"name": "what if", "meta": meta}) if meta else None
    if not (grouping or others or cleared.value):
        showing.ended("Choose other fields or another setting, then compare.")
    mo.stop(not (go.value or showing.at_once()), showing.sentence("Not compared yet."))
    asked = what.value or RunRequest(target_date=target.value, invoice_date=target.value)
    try:
        with mo.status.spinner("Making the run twice") as _spinner:
            comparison = compare(
                book, asked, grouping, settings=others, clear=cleared.value and not grouping,
                progress=lambda step, _share: _spinner.update(subtitle=step),
            )  # fmt: skip
    except BillfoldError as e:
        showing.ended(str(e))
    return (comparison,)


@app.cell(hide_code=True)
def _(comparison, mo, showing):
    changes = {row["change"]: row for row in comparison.changes.to_dicts()}
    before = sum(row["documents_before"] for row in changes.values())
    after = sum(row["documents_after"] for row in changes.values())
    accounts = comparison.accounts.filter(comparison.accounts["changed"] > 0)["account_number"].n_unique()
    said = (
        f"{showing.counted(before, 'document')} would become {after:,}. Unchanged are "
        f"{changes['unchanged']['documents_before']:,}; {showing.counted(accounts, 'account')} would see a change."
        if before + after
        else "Nothing is due up to that day, under either rules: choose a run, or a later day."
    )
    mo.vstack([
        mo.callout(showing.sentence(said), kind="info"),
        showing.table(comparison.rules, empty="These are the rules of the book: nothing differs."),
    ])  # fmt: skip
    return after, before, said


@app.cell(hide_code=True)
def _(after, alt, before, comparison, mo, pl, showing):
    mo.stop(before + after == 0)
    touched = comparison.changes.filter(pl.col("documents_before") + pl.col("documents_after") > 0)
    bars = touched.unpivot(
        ["documents_before", "documents_after"], index="change", variable_name="side", value_name="documents"
    ).with_columns(
        pl.col("side").str.strip_prefix("documents_"), said=pl.col("documents").map_elements(showing.words, pl.String)
    )
    drawn = alt.Chart(bars).encode(
        x=alt.X("documents:Q", title="documents", scale=alt.Scale(domain=[0, bars["documents"].max() * 1.15])),
        y=alt.Y("change:N", title=None, sort=None),
        yOffset=alt.YOffset("side:N", sort=["before", "after"]),
        color=alt.Color(
            "side:N", title=None, scale=alt.Scale(domain=["before", "after"], range=["#bab0ac", "#4c78a8"])
        ),
        tooltip=["change", "side", "said"],
    )
    chart = drawn.mark_bar() + drawn.mark_text(align="left", dx=4, color="gray").encode(
        text="said:N", color=alt.value("gray")
    )
    mo.vstack([
        mo.md("## What becomes of the documents"),
        showing.shown(chart.properties(width="container", height=alt.Step(18))),
        showing.table(showing.titled(touched)),
        mo.md("Why: the components in which documents differed before, or would differ after."),
        showing.table(showing.titled(comparison.why), empty="Every document stays as it is."),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(after, before, comparison, mo, pl, showing):
    mo.stop(before + after == 0)
    totals = comparison.totals.with_columns(difference=pl.col("amount_after") - pl.col("amount_before"))
    few = comparison.parked.height <= showing.SMALL
    mo.vstack([
        mo.md("""
        ## What it comes to

        By currency and type of document, credit memos without a minus. Lines are rounded one by one, so other documents
        come to the same net, unless items get other amounts, or accounts are parked that were not.
        """),
        showing.table(showing.titled(totals)),
        mo.md("Accounts parked differently:"),
        showing.table(showing.titled(comparison.parked), empty="None.") if few else showing.pages(comparison.parked),
        mo.md("Invoice schedules that would break, or be mended:"),
        showing.table(showing.titled(comparison.schedules), empty="None."),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(comparison, mo, pl, showing):
    top = comparison.accounts.filter(pl.col("changed") > 0).head(200)
    mo.stop(top.is_empty())
    kinds = [c for c in comparison.changes["change"] if top[c].sum()]
    numbers_of = ["documents_before", "documents_after"]
    options = {
        f"{of}, {currency}: {showing.counted(was, 'document')}, then {then:,}": (of, currency)
        for of, currency, was, then in top.select("account_number", "currency", *numbers_of).iter_rows()
    }
    account = mo.ui.dropdown(
        options, value=next(iter(options)), allow_select_none=False, searchable=True, label="Account", full_width=True
    )
    mo.vstack([
        mo.md("## The accounts that change most"),
        showing.pages(showing.titled(top.select("account_number", "currency", *numbers_of, *kinds, "concerned"))),
        mo.md("_Concerned_ is the sum of the amounts on documents that change, all with a plus. At most 200 accounts."),
        mo.md("## One account, before and after"),
        account,
    ])  # fmt: skip
    return (account,)


@app.cell(hide_code=True)
def _(account, comparison, mo, pl, showing):
    number, currency = account.value
    theirs = comparison.documents.filter(pl.col("account_number") == number, pl.col("currency") == currency)
    named = {"group number": "invoice_group_number", "group value": "invoice_group_value", "items": "item_count"}

    def side(name):
        """The account's documents on one side, those that change first; credit memos with a minus."""
        owed = pl.when(document_type="credit_memo").then(-pl.col("amount")).otherwise("amount")
        rows = theirs.filter(side=name).with_columns(amount=owed)
        rows = rows.sort(pl.col("change") == "unchanged", "match", "document_id")
        listed = rows.select("match", "change", type="document_type", **named, amount="amount")
        net = f"{currency} {showing.words(rows['amount'].sum())} net"
        said = f"{name.capitalize()}: {showing.counted(rows.height, 'document')}, {net}"
        return [showing.sentence(said), showing.pages(listed) if rows.height else showing.sentence("None.")]

    mo.vstack([
        mo.md("Documents with the same number of match hold the same items, before and after."),
        *side("before"),
        *side("after"),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(said, showing):
    showing.told([said], fails=False)
    return


if __name__ == "__main__":
    app.run()
