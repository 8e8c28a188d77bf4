"""Does this run reconcile? Source totals, documents, what was left, promises, a replay, and month over month.

marimo run notebooks/reconcile.py -- --book book      as a page
python notebooks/reconcile.py -- --book book          as a check, which fails where something does not agree
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Does this run reconcile?")


@app.cell(hide_code=True)
def _():
    import altair as alt
    import marimo as mo
    import polars as pl
    import showing
    import sources

    from billfold.errors import BillfoldError
    from billfold.lifecycle import runs as all_runs
    from billfold.replay import replay
    from billfold.verify import verify

    return BillfoldError, all_runs, alt, mo, pl, replay, showing, sources, verify


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    # Does this run reconcile?

    Three answers, each on its own: the **amounts** on the documents are those of the input rows; the **promises** of
    the book hold; and the run, **made again** from what it read, gives the same bytes.
    """)
    return


@app.cell(hide_code=True)
def _(showing):
    book = showing.opened()
    return (book,)


@app.cell(hide_code=True)
def _(all_runs, book, mo, showing):
    runs = {run["bill_run_number"]: run for run in all_runs(book).to_dicts()}
    if not runs:
        showing.ended(f"{book.folder.name} has no bill run yet: `billfold run --target-date YYYY-MM-DD` makes one.")
    wanted = showing.argument("run") or list(runs)[-1]
    if wanted not in runs:
        showing.ended(f"There is no bill run {wanted}: `billfold runs` lists them.")
    chosen = mo.ui.dropdown(
        {f"{number}, {run['status']}, up to {run['target_date']}": number for number, run in reversed(runs.items())},
        value=f"{wanted}, {runs[wanted]['status']}, up to {runs[wanted]['target_date']}",
        searchable=True,
        label="Bill run",
    )
    chosen
    return chosen, runs


@app.cell(hide_code=True)
def _(chosen, mo, runs, showing):
    mo.stop(chosen.value is None, showing.sentence("Choose a bill run."))
    run = runs[chosen.value]
    number = run["bill_run_number"]
    made = {"invoices": "invoice", "credit_memos": "credit memo", "items": "item"}
    said = (
        f"{number} is {run['status']}. It billed what was owed up to {run['target_date']}, on documents of "
        f"{run['invoice_date']}: {', '.join(showing.counted(run[column], what) for column, what in made.items())}. "
        f"Accounts: {run['accounts_billed']:,} billed, {run['accounts_nothing_due']:,} with nothing due, "
        f"{run['parked_accounts']:,} parked. It read snapshot {run['snapshot_id']} of the book."
    )
    canceled = " It was canceled: its documents do not count any more, and what it billed can be billed again."
    showing.sentence(said + canceled * (run["status"] == "Canceled"))
    return number, run


@app.cell(hide_code=True)
def _(book, run, sources):
    order_lines = sources.order_lines(book, run)
    charges = sources.charges(book, run)
    usage = sources.usage(book, run)
    documents = sources.documents(book, run)
    contents = sources.contents(book, run)
    return charges, contents, documents, order_lines, usage


@app.cell(hide_code=True)
def _(charges, contents, documents, number, order_lines, showing, sources):
    agreement = sources.agreement(number, order_lines, charges, documents, contents)
    showing.verdict(agreement.said, holds=agreement.holds)
    return (agreement,)


@app.cell(hide_code=True)
def _(mo, order_lines, showing, sources):
    mo.vstack([
        mo.md("""
        ## Where every order line went

        Quantity times price, added up from the order lines as the run saw them, **before anything is rounded**. Returns
        have a minus. *Billed* is what stands on the documents of this run. The two may differ by rounding only: each
        line is rounded once, to its currency's smallest step.
        """),
        showing.table(
            order_lines.select(
                "currency", "kind", "outcome", "lines", "exact", "billed", "difference",
                **{"lines rounded": "rounded", "largest rounding": "largest"},
            ),
            empty="The book has no order lines.",
            strong=lambda row: row["outcome"] == sources.BILLED,
        ),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(alt, mo, order_lines, pl, showing):
    def outcomes(rows):
        """Bars of amounts by what became of them; the exact amount stands beside each bar."""
        drawn = rows.select(
            "kind", "outcome", amount=showing.length("exact"), lines="lines",
            exact=pl.col("exact").map_elements(showing.words, return_dtype=pl.String),
        )  # fmt: skip
        currency = rows["currency"][0]
        bars = alt.Chart(drawn).encode(
            x=alt.X(
                "amount:Q",
                title=f"{currency}, as owed",
                axis=alt.Axis(format="~s", tickCount=6),
                scale=alt.Scale(padding=90),
            ),
            y=alt.Y("outcome:N", title=None, sort=None, axis=alt.Axis(labelLimit=260)),
            yOffset=alt.YOffset("kind:N", sort=["Sales", "Return"]),
        )
        filled = bars.mark_bar().encode(
            color=alt.Color("kind:N", title=None, sort=["Sales", "Return"],
                            scale=alt.Scale(domain=["Sales", "Return"], range=["#4c78a8", "#e45756"])),
            tooltip=["outcome", "kind", "lines", "exact"],
        )  # fmt: skip
        right = (
            bars.mark_text(align="left", dx=4, color="gray")
            .encode(text="exact:N")
            .transform_filter("datum.amount >= 0")
        )
        left = (
            bars.mark_text(align="right", dx=-4, color="gray")
            .encode(text="exact:N")
            .transform_filter("datum.amount < 0")
        )
        return (filled + right + left).properties(width="container", height=alt.Step(20))

    mo.vstack([showing.shown(outcomes(rows)) for _, rows in order_lines.group_by("currency", maintain_order=True)])
    return


@app.cell(hide_code=True)
def _(charges, mo, showing, sources, usage):
    mo.vstack([
        mo.md("""
        ## Charges and usage

        Every charge segment as the run saw it, and what became of it. Amounts of charges come from periods, proration,
        tiers and discounts; that each is right is the promise *amounts: charges*, below.
        """),
        showing.table(charges, empty="The book has no charges.", strong=lambda row: row["outcome"] == sources.BILLED),
        mo.md("""
        Usage records by unit of measure. *On items* are the units that the run's items say; they differ where a
        setting rounds the unit.
        """),
        showing.table(usage, empty="The book has no usage.", strong=lambda row: row["outcome"] == sources.BILLED),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(contents, documents, mo, showing):
    mo.vstack([
        mo.md("""
        ## What the documents say

        Headers, their items and the run's own report, each added up on its own: the three sums of a row are equal.
        Credit memos have a minus.
        """),
        showing.table(documents, empty="The run made no document."),
        mo.md("The same amounts by where the items come from:"),
        showing.table(contents, empty="The run made no document."),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(book, mo, number, showing):
    parked = showing.ask(
        book,
        """SELECT account_number AS account, name, step, reason
           FROM parked_accounts LEFT JOIN accounts USING (account_number)
           WHERE bill_run_number = $run ORDER BY account_number""",
        run=number,
    )
    few = parked.height <= showing.SMALL
    mo.vstack([
        mo.md("""
        ## Parked accounts

        What is wrong with an account's data stops that account only. Mend the data, then `billfold retry RUN`.
        """),
        showing.table(parked, empty="No account is parked.") if few else showing.pages(parked, wrapped=["reason"]),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(book, mo, number, showing, sources):
    amounts, counts = sources.compared(book, number)
    first = "No run before it that counts was asked for the same but for the dates."
    is_first = counts["run before"].null_count() == counts.height
    mo.vstack([
        mo.md("""
        ## Month over month

        The run beside the one before it that was asked for the same but for the dates.
        """),
        *([showing.sentence(first)] if is_first else [showing.table(amounts), showing.table(counts)]),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(book, mo, number, showing, sources):
    months = showing.ask(book, sources.MONTHS, run=number)
    mo.vstack([
        mo.md("Documents of all runs that count, by the month on them:"),
        showing.table(showing.ask(book, sources.REGISTER), empty="No document counts."),
        mo.md("Revenue by month of service, drafts included, spread by days over the months of each item:"),
        showing.table(sources.by_month(months), empty="No document counts."),
    ])  # fmt: skip
    return (months,)


@app.cell(hide_code=True)
def _(alt, mo, months, number, pl, showing):
    def revenue(rows):
        """A column a month: this run's part of it and that of the others."""
        drawn = rows.select(
            pl.col("month").dt.strftime("%Y-%m"), amount=showing.length("amount"),
            run=pl.when("is_this_run").then(pl.lit(number)).otherwise(pl.lit("other runs")),
            exact=pl.col("amount").map_elements(showing.words, return_dtype=pl.String),
        )  # fmt: skip
        return (
            alt.Chart(drawn)
            .mark_bar()
            .encode(
                x=alt.X("month:O", title="month of service", axis=alt.Axis(labelAngle=-45)),
                y=alt.Y("amount:Q", title=rows["currency"][0], axis=alt.Axis(format="~s")),
                color=alt.Color(
                    "run:N", title=None, scale=alt.Scale(domain=[number, "other runs"], range=["#4c78a8", "#bab0ac"])
                ),
                tooltip=["month", "run", "exact"],
            )
            .properties(width="container", height=220)
        )

    mo.vstack([showing.shown(revenue(rows)) for _, rows in months.group_by("currency", maintain_order=True)])
    return


@app.cell(hide_code=True)
def _(mo, number, showing):
    again = mo.ui.run_button(label="Make the run again")
    everything = showing.at_once()
    mo.md(f"""
    ## Proof

    **Preview against actual**: {number} is made again from the snapshot that it read, as a preview makes it, and every
    table is compared with what was committed, byte by byte. **Promises**: DuckDB looks at the whole book, with queries
    that share no code with the run. Half a million lines take some seconds to make again, and half a minute to check.
    """)
    return again, everything


@app.cell(hide_code=True)
def _(again):
    again
    return


@app.cell(hide_code=True)
def _(BillfoldError, again, book, everything, mo, number, pl, replay, showing):
    mo.stop(not (again.value or everything), showing.sentence("Not made again yet."))

    def made_again():
        """The tables of the replay, or why there is none."""
        try:
            with mo.status.spinner(f"Making {number} again"):
                return replay(book, number), ""
        except BillfoldError as e:
            return None, str(e)

    replayed, refused = made_again()
    if replayed is None:
        same = None
        shown = mo.callout(showing.sentence(refused), kind="warn")
    else:
        same = replayed.holds
        told = "the same bytes in every table" if same else "other bytes"
        rows = [
            {"table": t.table, "rows": t.rows, "result": t.result, "how it differs": t.said} for t in replayed.tables
        ]
        shown = mo.vstack([
            showing.verdict(f"{number}, made again from snapshot {replayed.snapshot_id}, gives {told}.", holds=same),
            showing.table(
                pl.DataFrame(rows).drop(["how it differs"] if same else []),
                strong=lambda row: row["result"] == "differs",
            ),
        ])  # fmt: skip
    shown
    return refused, same


@app.cell(hide_code=True)
def _(book, mo):
    prove = mo.ui.run_button(label=f"Check every promise of {book.folder.name}")
    prove
    return (prove,)


@app.cell(hide_code=True)
def _(book, everything, mo, pl, prove, showing, verify):
    mo.stop(not (prove.value or everything), showing.sentence("Not checked yet."))
    with mo.status.spinner("Checking every promise of the book") as _spinner:
        verdicts = verify(book, lambda step, _: _spinner.update(subtitle=step))
    broken = [v for v in verdicts if not v.holds]
    promises = (
        f"{len(broken)} of {len(verdicts)} promises are broken."
        if broken
        else f"All {len(verdicts)} promises hold, over the whole book."
    )
    mo.vstack([
        showing.verdict(promises, holds=not broken),
        *(showing.sentence(f"{v.promise}: {said}") for v in broken for said in v.broken["broken"]),
        showing.table(
            pl.DataFrame(
                {
                    "promise": [v.promise for v in verdicts],
                    "holds": ["yes" if v.holds else f"no, {v.count:,} times" for v in verdicts],
                    "what it says": [v.says for v in verdicts],
                }
            ),
            strong=lambda row: row["holds"] != "yes",
        ),
    ])  # fmt: skip
    return broken, promises


@app.cell(hide_code=True)
def _(agreement, broken, number, promises, refused, same, showing):
    showing.told(
        [
            agreement.said,
            f"{number}, made again, gives {'the same bytes' if same else 'other bytes'}."
            if same is not None
            else refused,
            promises,
        ],
        fails=not agreement.holds or same is False or bool(broken),
    )
    return


if __name__ == "__main__":
    app.run()
