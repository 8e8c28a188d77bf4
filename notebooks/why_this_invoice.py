"""Why this invoice? Find an account and a document; see why its lines are together, and how an amount came about.

marimo run notebooks/why_this_invoice.py -- --book book
marimo run notebooks/why_this_invoice.py -- --book book --document INV00000001
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Why this invoice?")


@app.cell(hide_code=True)
def _():
    import altair as alt
    import marimo as mo
    import polars as pl
    import showing

    from billfold.errors import BillfoldError
    from billfold.explanations.api import explain

    return BillfoldError, alt, explain, mo, pl, showing


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    # Why this invoice?

    Lines share a document if every component of their group key is equal. Choose a document to see its key, where
    each value came from, and in what the nearest other document differs; then an item, to see how its amount came
    about.
    """)
    return


@app.cell(hide_code=True)
def _(showing):
    book = showing.opened()
    if not showing.ask(book, "SELECT count(*) FROM invoice_register").item():
        showing.ended(f"{book.folder.name} has no document yet: `billfold run --target-date YYYY-MM-DD` makes some.")
    return (book,)


@app.cell(hide_code=True)
def _(mo, showing):
    search = mo.ui.text(
        value=showing.argument("document") or "",
        label="Search",
        placeholder="account, name, document or group",
        debounce=300,
        full_width=True,
    )
    search
    return (search,)


@app.cell(hide_code=True)
def _(book, mo, search, showing):
    most = 200
    # A text that is found in an account's number or name finds all its documents.
    matching = """
        FROM (SELECT *, contains(lower(concat_ws(' ', account_number, account_name)), lower($text)) AS is_account,
                     contains(lower(concat_ws(' ', document_number, document_id, invoice_group_number,
                                              invoice_group_value)), lower($text)) AS is_document
              FROM invoice_register)
        WHERE (is_account OR is_document)"""
    accounts = showing.ask(
        book,
        f"""SELECT account_number, any_value(account_name) AS name, count(*) AS documents {matching}
            GROUP BY account_number ORDER BY documents DESC, account_number LIMIT {most}""",
        text=search.value.strip(),
    )
    if accounts.is_empty():
        showing.ended(f"No account, document or group has {search.value!r} in it.")
    labels = {
        " · ".join(
            filter(None, (row["account_number"], row["name"], showing.counted(row["documents"], "document")))
        ): row["account_number"]
        for row in accounts.to_dicts()
    }
    account = mo.ui.dropdown(labels, value=next(iter(labels)), searchable=True, label="Account", full_width=True)
    account
    return account, matching, most


@app.cell(hide_code=True)
def _(account, book, matching, mo, most, search, showing):
    mo.stop(account.value is None, showing.sentence("Choose an account."))
    found = showing.ask(
        book,
        f"""SELECT document_id, document_number, document_type, document_date, status, currency, amount
            {matching} AND account_number = $account
            ORDER BY document_date DESC, abs(amount) DESC, document_id LIMIT {most}""",
        text=search.value.strip(),
        account=account.value,
    )
    names = {
        f"{row['document_number']} · {row['document_date']} · {row['currency']} {showing.words(row['amount'])} · "
        f"{row['status']}": row["document_id"]
        for row in found.to_dicts()
    }
    document = mo.ui.dropdown(names, value=next(iter(names)), searchable=True, label="Document", full_width=True)
    more = f"The {most} newest are listed: search for a number or group to find others." if found.height == most else ""
    mo.vstack([document, showing.sentence(more)]) if more else document
    return (document,)


@app.cell(hide_code=True)
def _(BillfoldError, book, document, explain, mo, showing):
    mo.stop(document.value is None, showing.sentence("Choose a document."))
    try:
        explanation = explain(book, document.value)
    except BillfoldError as e:
        showing.ended(str(e))
    why = explanation.document
    mo.callout(showing.sentence(explanation.summary), kind="info")
    return explanation, why


@app.cell(hide_code=True)
def _(mo, showing, why):
    mo.vstack([
        mo.md("## Why these lines are together"),
        showing.sentence(why.kind_reason),
        showing.table(
            [{"component": c.label, "value": c.value or "blank", "where it came from": c.said} for c in why.components]
        ),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(mo, showing, why):
    def nearest():
        """In what the nearest other document of the run and account differs."""
        if why.nearest is None:
            return [showing.sentence("The account has no other document in this run.")]
        label = {c.name: c.label for c in why.components}
        rows = [
            {
                "component": label.get(d.name, d.name),
                f"here, {why.document_number}": d.here or "blank",
                f"there, {why.nearest.document_number}": d.there or "blank",
            }
            for d in why.nearest.differences
        ]
        others = (
            f"The account has {showing.counted(why.nearest.others, 'other document')} in {why.run.bill_run_number}."
        )
        return [showing.sentence(others), showing.table(rows, empty="They differ in no component.")]

    mo.vstack([mo.md("## The nearest other document"), *nearest()])
    return


@app.cell(hide_code=True)
def _(alt, book, mo, pl, showing, why):
    most_bars = 40
    siblings = showing.ask(
        book,
        """SELECT document_number AS document, document_id, currency, amount, item_count AS items,
                  coalesce(invoice_group_value, invoice_group_number, '') AS "group"
           FROM invoice_register WHERE account_number = $account AND bill_run_number = $run
           ORDER BY document_id NOT IN ($document, $nearest), abs(amount) DESC, document_id LIMIT $most""",
        account=why.account_number,
        run=why.run.bill_run_number,
        document=why.document_id,
        nearest=why.nearest.document_id if why.nearest else "",
        most=most_bars,
    )
    mo.stop(siblings.height <= 1)
    which = {why.document_id: "this document"} | ({why.nearest.document_id: "the nearest"} if why.nearest else {})
    kinds = ["this document", "the nearest", "others of the account"]
    drawn = siblings.sort("amount", "document", descending=[True, False]).with_columns(
        length=showing.length("amount"),
        amount=pl.concat_str("currency", pl.lit(" "), pl.col("amount").map_elements(showing.words, pl.String)),
        which=pl.col("document_id").replace_strict(which, default=kinds[-1]),
    )
    of_all = f"the {siblings.height} largest documents" if siblings.height == most_bars else "all documents"
    showing.shown(
        alt.Chart(drawn, title=f"{of_all.capitalize()} of the account in this run, credit memos with a minus")
        .mark_bar()
        .encode(
            x=alt.X("document:N", title=None, sort=None, axis=alt.Axis(labelAngle=-60)),
            y=alt.Y("length:Q", title=", ".join(sorted(set(siblings["currency"]))), axis=alt.Axis(format="~s")),
            color=alt.Color(
                "which:N", title=None, scale=alt.Scale(domain=kinds, range=["#4c78a8", "#f58518", "#bab0ac"])
            ),
            tooltip=["document", "amount", "items", "group"],
        )
        .properties(width=alt.Step(15), height=180)
    )
    return


@app.cell(hide_code=True)
def _(mo, pl, showing, why):
    lines = pl.DataFrame(
        {
            "item": [i.item_id for i in why.items],
            "for": [i.what for i in why.items],
            "name": [i.name for i in why.items],
            "from": [i.service_start_date for i in why.items],
            "to": [i.service_end_date for i in why.items],
            "quantity": pl.Series([i.quantity for i in why.items], dtype=pl.Decimal(38, 9)),
            "unit price": pl.Series([i.unit_price for i in why.items], dtype=pl.Decimal(38, 9)),
            f"amount, {why.currency}": pl.Series([i.amount for i in why.items], dtype=pl.Decimal(38, 4)),
        }
    )
    items = showing.pages(lines, wrapped=["name"], hidden=["item"], choose=True)
    adds = f"{'' if why.adds_up else 'DO NOT '}add up to the document's amount"
    mo.vstack([
        mo.md("## Its items"),
        showing.sentence(
            f"{showing.counted(why.item_count, 'item')}, which {adds}, {why.currency} "
            f"{showing.words(why.amount)}. Choose one to see how its amount came about."
        ),
        items,
    ])  # fmt: skip
    return (items,)


@app.cell(hide_code=True)
def _(book, explain, items, mo, showing):
    mo.stop(items.value is None or items.value.is_empty(), showing.sentence("Choose an item."))
    item_explanation = explain(book, items.value["item"][0])
    item = item_explanation.item
    return item, item_explanation


@app.cell(hide_code=True)
def _(item, item_explanation, mo, showing):
    steps = [
        shown
        for place, step in enumerate(item.steps, 1)
        for shown in (
            showing.sentence(f"{place}. {step.name}: {step.said}"),
            *([showing.table(step.rows)] * bool(step.rows)),
        )
    ]
    mo.vstack([
        mo.md("## How this amount came about"),
        showing.verdict(item_explanation.summary, holds=item.agrees is not False),
        *([showing.sentence(item.note)] if item.note else []),
        *steps,
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(item_explanation, mo, showing):
    tables = dict.fromkeys(row.table for row in item_explanation.rows)

    def rows_of(table):
        """One row as a list of fields, several below each other."""
        rows = [row.values for row in item_explanation.rows if row.table == table]
        if len(rows) == 1:
            return showing.table([{"field": f, "value": showing.words(v)} for f, v in rows[0].items()])
        fields = dict.fromkeys(f for row in rows for f in row)
        return showing.table([{f: row.get(f) for f in fields} for row in rows])

    mo.vstack([
        mo.md("## The input rows behind it"),
        showing.sentence(f"As they were at snapshot {item_explanation.snapshot_id} of the book, which the run read."),
        mo.accordion({table: rows_of(table) for table in tables}, multiple=True),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(explanation, item_explanation, showing, why):
    showing.told(
        [explanation.summary, why.kind_reason, item_explanation.summary],
        fails=not why.adds_up or item_explanation.item.agrees is False,
    )
    return


if __name__ == "__main__":
    app.run()
