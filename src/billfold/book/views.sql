-- Views of a book for analysts. Every entry has its name, the columns that tell its rows apart and by which exports sort
-- them, what a row is, all its columns, and its query.
-- Views are kept in the catalog, where any DuckDB client finds them. They name no database, so that they work under any
-- alias, and wherever the book is. Those with $day are also table macros with the day as an argument.
-- Money stays decimal: a DECIMAL divided is a DOUBLE in DuckDB, so shares are taken of whole numbers of 10,000ths.

-- view: invoice_register
-- key: document_id
-- One row a document: invoices, and credit memos with a minus. Drafts and canceled documents are in it, by their status.
-- * document_type: Invoice or CreditMemo
-- * document_id: Id of the document: its run and rank
-- * document_number: Number from posting; a draft shows TMP-…
-- * document_date: The date on the document
-- * due_date: Date when it is to be paid; blank for drafts, credit memos and terms that name no day
-- * account_number: The account that it is for
-- * account_name: The customer's name as it is now
-- * currency: Currency of all its amounts
-- * status: Draft, Posted or Canceled
-- * amount: Sum of its items as owed: credit memos with a minus
-- * item_count: Number of its items
-- * bill_run_number: The run that made it
-- * target_date: The run's target date, inclusive
-- * source_type: Subscription, Order, or Consolidation of both
-- * payment_term: Payment term
-- * bill_to_contact: Recipient
-- * sequence_set: Sequence set of its number
-- * invoice_group_number: Group number of its lines
-- * invoice_group_value: Values of the configured fields that grouped its lines, joined by `_`
WITH documents AS (
    SELECT 'Invoice' AS document_type, invoice_id AS document_id, invoice_number AS document_number,
           invoice_date AS document_date, due_date, account_number, currency, status, amount, item_count,
           bill_run_number, target_date, source_type, payment_term, bill_to_contact, sequence_set,
           invoice_group_number, invoice_group_value
    FROM invoices
    UNION ALL
    SELECT 'CreditMemo', credit_memo_id, credit_memo_number, credit_memo_date, due_date, account_number, currency,
           status, -amount, item_count, bill_run_number, target_date, source_type, payment_term, bill_to_contact,
           sequence_set, invoice_group_number, invoice_group_value
    FROM credit_memos)
SELECT document_type, document_id, document_number, document_date, due_date, account_number, name AS account_name,
       documents.currency, documents.status, amount, item_count, bill_run_number, target_date, source_type,
       documents.payment_term, documents.bill_to_contact, documents.sequence_set, invoice_group_number,
       invoice_group_value
FROM documents LEFT JOIN accounts USING (account_number)

-- view: billed_items
-- key: item_id
-- One row an item of any document, with what its document says of it. Amounts of credit memos have a minus.
-- * document_type: Invoice or CreditMemo
-- * document_id: The document
-- * document_number: Its number; a draft shows TMP-…
-- * document_date: The date on it
-- * status: Draft, Posted or Canceled
-- * bill_run_number: The run that made it
-- * item_id: Id of the item: its document and position
-- * account_number: The document's account
-- * currency: The document's currency
-- * source_type: SubscriptionComponent, OrderLineItem or InvoiceSchedule
-- * subscription_number: The charge's subscription
-- * charge_number: The charge; blank for order lines
-- * segment: The charge's segment
-- * charge_name: Name of the charge or order line
-- * charge_type: OneTime, Recurring or Usage; blank for order lines
-- * order_number: The order; blank for charges
-- * item_number: The line within the order
-- * invoice_schedule_number: The invoice schedule that billed it
-- * service_start_date: First day of service, inclusive
-- * service_end_date: Last day of service, inclusive
-- * quantity: Units billed
-- * unit_price: Price of one unit
-- * uom: Unit of measure
-- * amount: Money as owed: what a credit memo gives back has a minus
-- * sold_to_contact: Place of use
-- * processing_type: Charge or Discount
WITH items AS (
    SELECT 'Invoice' AS document_type, invoice_id AS document_id, invoice_number AS document_number,
           invoice_date AS document_date, status, bill_run_number, invoice_item_id AS item_id, i.account_number,
           i.currency, i.source_type, subscription_number, charge_number, segment, charge_name, charge_type,
           order_number, item_number, invoice_schedule_number, service_start_date, service_end_date, quantity,
           unit_price, uom, i.amount, sold_to_contact, processing_type
    FROM invoice_items i JOIN invoices USING (invoice_id)
    UNION ALL
    SELECT 'CreditMemo', credit_memo_id, credit_memo_number, credit_memo_date, status, bill_run_number,
           credit_memo_item_id, i.account_number, i.currency, i.source_type, subscription_number, charge_number,
           segment, charge_name, charge_type, order_number, item_number, invoice_schedule_number, service_start_date,
           service_end_date, quantity, unit_price, uom, -i.amount, sold_to_contact, processing_type
    FROM credit_memo_items i JOIN credit_memos USING (credit_memo_id))
FROM items

-- view: ageing
-- key: document_id
-- One row a posted document, by how long it is past due on the date of the newest posted document. `ageing(DATE '…')` tells
-- it for any day, leaving out documents of later days. Payments are not billfold's: amounts are as billed. What has no due
-- date ages from its own date: credit memos, and invoices whose term names no day.
-- * as_of: The day of the question
-- * account_number: The account that owes
-- * account_name: The customer's name as it is now
-- * document_type: Invoice or CreditMemo
-- * document_id: The document
-- * document_number: Its number
-- * document_date: The date on it
-- * due_date: Date when it is to be paid, or its own date where there is none
-- * days_past_due: Days from the due date to that day; negative before
-- * bucket: current, 1-30, 31-60, 61-90 or 90+ days past due
-- * currency: Currency of the amount
-- * amount: As billed: credit memos with a minus
WITH posted AS (FROM invoice_register WHERE status = 'Posted'),
     asked AS (SELECT $day AS as_of),
     aged AS (
         SELECT as_of, account_number, account_name, document_type, document_id, document_number, document_date,
                coalesce(due_date, document_date) AS due_date,
                as_of - coalesce(due_date, document_date) AS days_past_due, currency, amount
         FROM posted CROSS JOIN asked
         WHERE document_date <= as_of)
SELECT as_of, account_number, account_name, document_type, document_id, document_number, document_date, due_date,
       days_past_due,
       CASE WHEN days_past_due <= 0 THEN 'current' WHEN days_past_due <= 30 THEN '1-30'
            WHEN days_past_due <= 60 THEN '31-60' WHEN days_past_due <= 90 THEN '61-90' ELSE '90+' END AS bucket,
       currency, amount
FROM aged

-- view: revenue_by_month
-- key: item_id, service_month
-- One row an item and calendar month of its service, items of canceled documents left out. An amount is spread by days:
-- what falls up to the end of a month is rounded to the currency's minor unit (half away from zero), and a month gets
-- the difference to the month before, so that the months of an item add up to its amount exactly.
-- * service_month: First day of the month
-- * days: Days of the item's service in that month
-- * account_number: The document's account
-- * currency: Currency of the amount
-- * amount: Part of the item's amount that falls in that month: credits with a minus
-- * status: Draft or Posted
-- * document_type: Invoice or CreditMemo
-- * document_id: The document
-- * item_id: The item
-- * bill_run_number: The run that made it
-- * source_type: SubscriptionComponent, OrderLineItem or InvoiceSchedule
-- * subscription_number: The charge's subscription
-- * charge_number: The charge; blank for order lines
-- * charge_name: Name of the charge or order line
-- * charge_type: OneTime, Recurring or Usage; blank for order lines
-- * order_number: The order; blank for charges
-- * processing_type: Charge or Discount
WITH items AS (
    SELECT *, greatest(service_start_date, service_end_date) AS last_day,
           CAST(10000 * CAST(amount AS DECIMAL(38, 4)) AS HUGEINT) AS units,
           CASE WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND',
                                  'VUV', 'XAF', 'XOF', 'XPF') THEN 10000
                WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 10
                WHEN currency IN ('CLF', 'UYW') THEN 1
                ELSE 100 END AS minor_unit
    FROM billed_items WHERE status <> 'Canceled'),
     months AS (
    SELECT *, CASE WHEN units % minor_unit = 0 THEN minor_unit ELSE 1 END AS step,
           last_day - service_start_date + 1 AS all_days,
           unnest(generate_series(date_trunc('month', service_start_date), last_day, INTERVAL 1 MONTH)) AS first_of_month
    FROM items),
     counted AS (
    SELECT *, CAST(first_of_month AS DATE) AS service_month,
           greatest(CAST(first_of_month AS DATE) - service_start_date, 0) AS days_before,
           least(last_day(first_of_month), last_day) - service_start_date + 1 AS days_upto
    FROM months),
     spread AS (
    SELECT *, CASE WHEN days_upto - days_before = all_days THEN units ELSE sign(units) * step * (
                  (2 * (abs(units) // step) * days_upto + all_days) // (2 * all_days)
                - (2 * (abs(units) // step) * days_before + all_days) // (2 * all_days)) END AS part
    FROM counted)
SELECT service_month, days_upto - days_before AS days, account_number, currency,
       CAST(CAST(part AS DECIMAL(38, 0)) * 0.0001 AS DECIMAL(18, 4)) AS amount, status, document_type, document_id,
       item_id, bill_run_number, source_type, subscription_number, charge_number, charge_name, charge_type,
       order_number, processing_type
FROM spread

-- view: charges_billed_through
-- key: charge_number, segment
-- One row a charge segment: how far it is billed, and when it is due next. Invoice schedules bill the charges that they
-- name; discounts are billed with the charges that they reduce, and have no dates of their own.
-- * account_number: The subscription's account
-- * account_name: The customer's name as it is now
-- * invoice_owner_account_number: The account that gets the documents
-- * subscription_number: The subscription
-- * subscription_status: Its status
-- * charge_number: The charge
-- * segment: The charge's segment
-- * charge_name: Its name
-- * charge_type: OneTime, Recurring or Usage
-- * charge_model: How it is priced
-- * billing_period: Length of its periods
-- * billing_timing: IN_ADVANCE or IN_ARREARS
-- * effective_start_date: First day, inclusive; blank begins with an event of the subscription
-- * effective_end_date: End, exclusive; blank is open
-- * charged_through_date: Billed up to this day, exclusive, here or elsewhere before; blank was never billed
-- * next_due_date: First target date on which it may owe something more; blank never, unless it changes
-- * is_to_review: It is new or has changed: the next run looks at it, whatever the next due date says
-- * last_bill_run_number: The run that last billed or credited it
-- * invoice_schedules: Invoice schedules that bill it now
WITH scheduled AS (
    SELECT charge_number, string_agg(invoice_schedule_number, ', ' ORDER BY invoice_schedule_number) AS invoice_schedules
    FROM invoice_schedule_charges WHERE NOT is_detached GROUP BY charge_number),
     waiting AS (SELECT DISTINCT charge_number, segment, TRUE AS is_to_review FROM charges_to_review)
SELECT s.account_number, a.name AS account_name,
       coalesce(s.invoice_owner_account_number, s.account_number) AS invoice_owner_account_number,
       c.subscription_number, s.status AS subscription_status, c.charge_number, c.segment, c.charge_name,
       c.charge_type, c.charge_model, c.billing_period, c.billing_timing, c.effective_start_date,
       c.effective_end_date, coalesce(p.charged_through_date, c.charged_through_date) AS charged_through_date,
       p.next_due_date, coalesce(w.is_to_review, FALSE) AS is_to_review, p.bill_run_number AS last_bill_run_number,
       i.invoice_schedules
FROM rate_plan_charges c
LEFT JOIN subscriptions s USING (subscription_number)
LEFT JOIN accounts a USING (account_number)
LEFT JOIN charge_progress p USING (charge_number, segment)
LEFT JOIN waiting w USING (charge_number, segment)
LEFT JOIN scheduled i USING (charge_number)

-- view: accounts_still_parked
-- key: account_number, bill_run_number
-- One row an account and run that set it aside, as long as no later run has looked at it again. A later run has, if it is
-- not canceled and was asked for that account, for at least the same kinds of lines, up to the same day or a later one.
-- Runs that have nothing to tell are not written: what was parked before such a run still stands.
-- * account_number: The account
-- * account_name: The customer's name as it is now
-- * account_status: Its status as it is now
-- * bill_run_number: The run that set it aside
-- * target_date: That run's target date
-- * step: The step that found it
-- * reason: Why, in one sentence
-- * detail: The offending keys, as JSON
WITH runs AS (
    SELECT bill_run_number, target_date, CAST(request->>'subscriptions' AS BOOLEAN) AS subscriptions,
           CAST(request->>'order_line_items' AS BOOLEAN) AS order_line_items,
           coalesce(from_json(request->'accounts', '["VARCHAR"]'), []) AS accounts,
           coalesce(from_json(request->'batches', '["VARCHAR"]'), []) AS batches,
           coalesce(from_json(request->'bill_cycle_days', '["BIGINT"]'), []) AS bill_cycle_days,
           coalesce(from_json(request->'excluded_charge_types', '["VARCHAR"]'), []) AS excluded_charge_types,
           coalesce(from_json(request->'orders', '["VARCHAR"]'), []) AS orders,
           coalesce(from_json(request->'schedules', '["VARCHAR"]'), []) AS schedules
    FROM bill_runs WHERE status <> 'Canceled'),
     parking AS (FROM runs SEMI JOIN parked_accounts USING (bill_run_number)),
     followed AS (
    SELECT p.bill_run_number, l.accounts, l.batches, l.bill_cycle_days,
           len(l.accounts) + len(l.batches) + len(l.bill_cycle_days) = 0 AS is_for_all
    FROM parking p JOIN runs l ON l.bill_run_number > p.bill_run_number AND l.target_date >= p.target_date
    WHERE (l.subscriptions OR NOT p.subscriptions) AND (l.order_line_items OR NOT p.order_line_items)
      AND list_has_all(p.excluded_charge_types, l.excluded_charge_types)
      AND (len(l.orders) = 0 OR len(p.orders) > 0 AND list_has_all(l.orders, p.orders))
      AND (len(l.schedules) = 0 OR len(p.schedules) > 0 AND list_has_all(l.schedules, p.schedules))),
     standing AS (
    SELECT k.*, a.name, a.status, a.batch, a.bill_cycle_day, p.target_date
    FROM parked_accounts k JOIN parking p USING (bill_run_number) LEFT JOIN accounts a USING (account_number)
    ANTI JOIN (FROM followed WHERE is_for_all) f USING (bill_run_number)),
     again AS (
    SELECT DISTINCT s.bill_run_number, s.account_number
    FROM standing s JOIN followed f USING (bill_run_number)
    WHERE (len(f.accounts) = 0 OR list_contains(f.accounts, s.account_number))
      AND (len(f.batches) = 0 OR list_contains(f.batches, s.batch))
      AND (len(f.bill_cycle_days) = 0 OR list_contains(f.bill_cycle_days, s.bill_cycle_day)))
SELECT account_number, name AS account_name, status AS account_status, bill_run_number, target_date, step, reason, detail
FROM standing ANTI JOIN again USING (bill_run_number, account_number)

-- view: bill_run_comparison
-- key: bill_run_number, measure, currency
-- One row a run that counts and measure of it, beside the run before it that was asked for the same but for the dates.
-- Measures are counts, and the amounts `invoiced`, `credited` and `net` in each currency.
-- * bill_run_number: The run
-- * status: Its status
-- * target_date: Its target date
-- * previous_bill_run_number: The run before it with the same kind of request; blank if there is none
-- * previous_target_date: That run's target date
-- * measure: invoiced, credited, net, invoices, credit memos, items, accounts billed, accounts parked, …
-- * currency: Of amounts: their currency; blank for counts
-- * value: The run's count or amount
-- * previous_value: That of the run before; blank if there is none
-- * difference: Value less previous value
-- * percent: The difference in percent of the previous value, to two decimals; blank where that was 0
WITH runs AS (
    SELECT bill_run_number, status, target_date,
           lag(bill_run_number) OVER same AS previous_bill_run_number, lag(target_date) OVER same AS previous_target_date,
           ['accounts billed', 'accounts with nothing due', 'accounts parked', 'invoices', 'credit memos', 'items'] AS measures,
           [accounts_billed, accounts_nothing_due, parked_accounts, invoices, credit_memos, items] AS counts
    FROM bill_runs WHERE status <> 'Canceled'
    WINDOW same AS (
        PARTITION BY coalesce(request->>'accounts', '[]'), coalesce(request->>'batches', '[]'),
                     coalesce(request->>'bill_cycle_days', '[]'), coalesce(request->>'excluded_charge_types', '[]'),
                     request->>'subscriptions', request->>'order_line_items', coalesce(request->>'orders', '[]'),
                     coalesce(request->>'schedules', '[]')
        ORDER BY bill_run_number)),
     amounts AS (
    SELECT bill_run_number, currency, sum(amount) FILTER (document_type = 'Invoice') AS invoiced,
           -sum(amount) FILTER (document_type = 'CreditMemo') AS credited, sum(amount) AS net
    FROM invoice_register GROUP BY bill_run_number, currency),
     measured AS (
    SELECT bill_run_number, NULL AS currency, unnest(measures) AS measure,
           CAST(unnest(counts) AS DECIMAL(38, 4)) AS value
    FROM runs
    UNION ALL
    SELECT bill_run_number, currency, unnest(['invoiced', 'credited', 'net']),
           unnest([coalesce(invoiced, 0), coalesce(credited, 0), net])
    FROM amounts),
     compared AS (
    SELECT r.bill_run_number, r.status, r.target_date, r.previous_bill_run_number, r.previous_target_date, m.measure,
           m.currency, coalesce(sum(m.value) FILTER (m.bill_run_number = r.bill_run_number), 0) AS value,
           CASE WHEN r.previous_bill_run_number IS NOT NULL
                THEN coalesce(sum(m.value) FILTER (m.bill_run_number = r.previous_bill_run_number), 0) END AS previous_value
    FROM (SELECT *, unnest([bill_run_number, previous_bill_run_number]) AS measured_run FROM runs) r
    JOIN measured m ON m.bill_run_number = r.measured_run
    GROUP BY r.bill_run_number, r.status, r.target_date, r.previous_bill_run_number, r.previous_target_date, m.measure,
             m.currency),
     changed AS (
    SELECT *, value - previous_value AS difference,
           CAST(10000 * CAST(abs(value - previous_value) AS DECIMAL(38, 4)) AS HUGEINT) AS change,
           CAST(10000 * CAST(abs(previous_value) AS DECIMAL(38, 4)) AS HUGEINT) AS base
    FROM compared)
SELECT bill_run_number, status, target_date, previous_bill_run_number, previous_target_date, measure, currency,
       CAST(value AS DECIMAL(38, 4)) AS value, CAST(previous_value AS DECIMAL(38, 4)) AS previous_value,
       CAST(difference AS DECIMAL(38, 4)) AS difference,
       CASE WHEN base > 0 THEN CAST(CAST(sign(difference) * ((20000 * change + base) // (2 * base))
                                         AS DECIMAL(38, 0)) * 0.01 AS DECIMAL(38, 2)) END AS percent
FROM changed
