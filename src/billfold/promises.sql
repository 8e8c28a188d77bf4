-- What billfold promises about a book, one query each. A query returns the rows that break its promise, a sentence a
-- row: an empty result means that the promise holds. Nothing here shares code with the line that makes the documents.
--
-- Queries use the words below, tables that several of them need; words about a run are made once for each run, and kept
-- while it is looked at. Queries that need them, or $run, are asked once for each bill run: $snapshot is the snapshot of
-- the book that the run read, $after the one that it left. $inputs is the one in which what was sold stands as the run saw
-- it: $snapshot, but $after for a run that was committed together with its orders, whose changes it read too. $links is a
-- query for the charges of schedules at $snapshot, $parts one for their items at $after; they give no rows where the book
-- could have none yet. Queries that name $table are asked once for each table. $now is the newest snapshot; `files_now` has the data files with their hashes
-- as they are, `own_views` the views and macros of this version.
-- Rows of one run are looked up between BR-00000007- and BR-00000007. (the point follows the hyphen), so that the files
-- of other runs need not be read. Money and quantities are compared as whole numbers, of 10,000ths and of 10^-9.

-- word: documents
-- Invoices and credit memos.
SELECT 'invoice' AS kind, invoice_id AS document, invoice_number AS number, invoice_date AS date,
       * EXCLUDE (invoice_id, invoice_number, invoice_date)
FROM invoices
UNION ALL BY NAME
SELECT 'credit memo' AS kind, credit_memo_id AS document, credit_memo_number AS number, credit_memo_date AS date,
       * EXCLUDE (credit_memo_id, credit_memo_number, credit_memo_date)
FROM credit_memos

-- word: items
-- Their items; `owed` is an amount as it is owed: what a credit memo gives back has a minus.
SELECT 'invoice' AS kind, invoice_id AS document, invoice_item_id AS item, amount AS owed,
       * EXCLUDE (invoice_id, invoice_item_id)
FROM invoice_items
UNION ALL BY NAME
SELECT 'credit memo' AS kind, credit_memo_id AS document, credit_memo_item_id AS item, -amount AS owed,
       * EXCLUDE (credit_memo_id, credit_memo_item_id)
FROM credit_memo_items

-- word: counting
-- Items of documents that were not canceled.
SELECT i.*, d.bill_run_number FROM items i JOIN documents d USING (kind, document) WHERE d.status <> 'Canceled'

-- word: scheduled
-- Lines of schedules that count, each with the charge whose amount it is part of: that of a discount is the one that it
-- reduces, and that of a discount taken back is the one of this discount.
WITH lines AS MATERIALIZED (
    SELECT invoice_schedule_number AS number, invoice_schedule_item_id AS item_id, kind, document, item, owed,
           charge_number, applied_to_item_id, processing_type = 'Discount' AS is_discount
    FROM counting WHERE source_type = 'InvoiceSchedule')
SELECT number, item_id, kind, document, owed, charge_number FROM lines WHERE NOT is_discount
UNION ALL
SELECT i.number, i.item_id, i.kind, i.document, i.owed,
       CASE WHEN NOT r.is_discount THEN r.charge_number ELSE o.charge_number END
FROM lines i
LEFT JOIN lines r ON r.item = i.applied_to_item_id
LEFT JOIN lines o ON o.item = r.applied_to_item_id
WHERE i.is_discount

-- word: numbers
-- Numbers of posted documents, taken apart: the prefix is one that a counter knows, best that of the sequence set.
SELECT d.kind, d.document, d.bill_run_number, d.posting, d.number, c.name AS prefix,
       CAST(substr(d.number, len(c.name) + 1) AS HUGEINT) AS sequence
FROM documents d
LEFT JOIN sequence_sets s ON s.name = d.sequence_set
JOIN billfold.counters c
  ON starts_with(d.number, c.name) AND regexp_full_match(substr(d.number, len(c.name) + 1), '\d{8}|[1-9]\d{8,29}')
WHERE d.status = 'Posted' AND NOT starts_with(d.number, 'TMP-')
QUALIFY row_number() OVER (
    PARTITION BY d.kind, d.document
    ORDER BY c.name = CASE d.kind WHEN 'invoice' THEN coalesce(s.invoice_prefix, 'INV')
                                  ELSE coalesce(s.credit_memo_prefix, 'CM') END DESC,
             sequence <= c.value DESC, len(c.name) DESC) = 1

-- word: run
-- The run and what was asked of it.
SELECT bill_run_number, target_date, accounts_billed, accounts_nothing_due, parked_accounts,
       CAST(request->>'subscriptions' AS BOOLEAN) AS subscriptions,
       CAST(request->>'order_line_items' AS BOOLEAN) AS order_line_items,
       json_array_length(request, '$.accounts') > 0 AS for_accounts,
       coalesce(json_array_length(request, '$.orders') > 0, FALSE) AS for_orders,
       coalesce(json_array_length(request, '$.schedules') > 0, FALSE) AS for_schedules,
       from_json(request->'batches', '["VARCHAR"]') AS batches,
       from_json(request->'bill_cycle_days', '["BIGINT"]') AS bill_cycle_days,
       from_json(request->'excluded_charge_types', '["VARCHAR"]') AS excluded_charge_types
FROM bill_runs WHERE bill_run_number = $run

-- word: named_accounts
-- The accounts that it was asked for, if not for all.
SELECT unnest(from_json(request->'accounts', '["VARCHAR"]')) AS account_number FROM bill_runs WHERE bill_run_number = $run

-- word: named_orders
-- The orders that it was asked for, if not for all; older runs know of none.
SELECT unnest(from_json(request->'orders', '["VARCHAR"]')) AS order_number FROM bill_runs WHERE bill_run_number = $run

-- word: named_schedules
-- The schedules that it was asked for, if not for all; older runs know of none.
SELECT unnest(from_json(request->'schedules', '["VARCHAR"]')) AS number FROM bill_runs WHERE bill_run_number = $run

-- word: named_subscriptions
-- Subscriptions to which these orders did something. What orders did is never changed, and older books have no such table.
SELECT DISTINCT subscription_number FROM order_actions SEMI JOIN named_orders USING (order_number)

-- word: rules
-- The settings that the run read, one row.
SELECT coalesce(max(value) FILTER (name = 'rounding_mode'), 'half_up') AS rounding_mode,
       coalesce(max(value) FILTER (name = 'ungrouped'), 'auto') AS ungrouped,
       coalesce(max(value) FILTER (name = 'consolidate_invoices'), 'yes') AS consolidate_invoices,
       coalesce(max(value) FILTER (name = 'usage_without_records'), 'bill') AS usage_without_records,
       coalesce(max(value) FILTER (name = 'paused_schedules'), 'billed') AS paused_schedules
FROM settings AT (VERSION => $snapshot)

-- word: minor_units
-- The minor unit of ISO 4217 of every currency on a document.
SELECT currency, CASE
    WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF',
                      'XOF', 'XPF') THEN 1
    WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 0.001
    WHEN currency IN ('CLF', 'UYW') THEN 0.0001
    ELSE 0.01 END AS unit
FROM (SELECT DISTINCT currency FROM documents)

-- word: its_documents
-- The run's documents.
FROM documents WHERE document >= concat($run, '-') AND document < concat($run, '.')

-- word: its_items
-- Items of the run's documents.
SELECT kind, document, item, amount, owed, account_number, currency, source_type, processing_type, subscription_number,
       charge_number, segment, charge_name, order_number, item_number, invoice_schedule_number,
       invoice_schedule_item_id, service_start_date, service_end_date, quantity, unit_price, applied_to_item_id
FROM items WHERE document >= concat($run, '-') AND document < concat($run, '.')
             AND item >= concat($run, '-') AND item < concat($run, '.')

-- word: steps
-- The smallest step of each currency's amounts when the run was made, in 10,000ths: a setting, else the minor unit.
SELECT u.currency, CAST(10000 * coalesce(CAST(s.value AS DECIMAL(18, 4)), u.unit) AS HUGEINT) AS step
FROM minor_units u SEMI JOIN its_documents USING (currency)
LEFT JOIN (FROM settings AT (VERSION => $snapshot)) s ON s.name = concat('rounding_increment.', u.currency)

-- word: parked
-- Accounts that the run set aside.
SELECT account_number FROM parked_accounts WHERE bill_run_number = $run

-- word: chosen
-- The accounts that the run was for, as they were then; texts without blanks around them, and null when blank.
SELECT a.account_number, a.currency, a.invoice_group,
       nullif(regexp_replace(COLUMNS('^(bill_to_contact|payment_term|invoice_template|sequence_set|communication_profile)$'),
                             '^[\s\pZ\x0b\x85]+|[\s\pZ\x0b\x85]+$', '', 'g'), '')
FROM (FROM accounts AT (VERSION => $inputs)) a CROSS JOIN run r
WHERE a.status = 'Active'
  AND (NOT r.for_accounts OR a.account_number IN (FROM named_accounts))
  AND (len(r.batches) = 0 OR list_contains(r.batches, a.batch))
  AND (len(r.bill_cycle_days) = 0 OR list_contains(r.bill_cycle_days, a.bill_cycle_day))

-- word: subscribed
-- Subscriptions as they were then, with the account that pays for them, and whether their periods could be billed.
SELECT subscription_number, account_number AS subscriber, coalesce(invoice_owner_account_number, account_number) AS owner,
       status, currency,
       term_type, contract_effective_date, service_activation_date, customer_acceptance_date, term_end_date,
       cancelled_date, invoice_separately, status NOT IN ('Draft', 'Expired') AS is_billable,
       nullif(regexp_replace(COLUMNS('^(bill_to_contact|payment_term|invoice_template|sequence_set|communication_profile|invoice_group_number)$'),
                             '^[\s\pZ\x0b\x85]+|[\s\pZ\x0b\x85]+$', '', 'g'), '')
FROM subscriptions AT (VERSION => $inputs)

-- word: ordered
-- Order lines as they were then, with the account that pays for them, also those of orders that the run was not for.
SELECT order_number, item_number, coalesce(invoice_owner_account_number, account_number) AS owner, item_state,
       item_category, bill_target_date, quantity, amount_per_unit, list_price_per_unit, discount_type, discount,
       currency,
       nullif(regexp_replace(COLUMNS('^(bill_to_contact|payment_term|invoice_template|sequence_set|communication_profile|invoice_group_number)$'),
                             '^[\s\pZ\x0b\x85]+|[\s\pZ\x0b\x85]+$', '', 'g'), '')
FROM order_line_items AT (VERSION => $inputs)

-- word: billed_before
-- Order lines that runs before this one had billed, as far as these were not canceled by then.
SELECT order_number, item_number
FROM (FROM invoice_items AT (VERSION => $snapshot)) JOIN (FROM invoices AT (VERSION => $snapshot)) d USING (invoice_id)
WHERE order_number IS NOT NULL AND d.status <> 'Canceled'
UNION
SELECT order_number, item_number
FROM (FROM credit_memo_items AT (VERSION => $snapshot))
JOIN (FROM credit_memos AT (VERSION => $snapshot)) d USING (credit_memo_id)
WHERE order_number IS NOT NULL AND d.status <> 'Canceled'

-- word: covered
-- Days of charges that schedules bill instead of their periods, as it was then: [first, upto), adjoining ones as one.
SELECT charge_number, min(from_date) AS first, max(through_date) AS upto
FROM (SELECT *, count(*) FILTER (before IS NULL OR before < from_date) OVER (
          PARTITION BY charge_number ORDER BY from_date, through_date, invoice_schedule_number
          ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS place
      FROM (SELECT *, max(through_date) OVER (
                PARTITION BY charge_number ORDER BY from_date, through_date, invoice_schedule_number
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM ($links) WHERE NOT is_detached AND from_date <= through_date))
GROUP BY charge_number, place

-- word: planned
-- What schedules of the run's accounts were to bill, as they were then: the next item of those that it was asked for, or, of
-- those whose day had come, the next one and others whose day had come too. Of schedules whose items are all processed it
-- is the last one, as a credit may be due. `is_pending` tells the two apart, `is_parked` that the run set a payer aside.
WITH paid AS (
    SELECT invoice_schedule_number AS number, bool_or(owner IN (FROM parked)) AS is_parked
    FROM ($links) JOIN subscribed USING (subscription_number) GROUP BY ALL
    HAVING bool_or(owner IN (SELECT account_number FROM chosen))),
left_out AS (
    SELECT DISTINCT l.invoice_schedule_number AS number
    FROM ($links) l JOIN (FROM rate_plan_charges AT (VERSION => $inputs)) c USING (charge_number) CROSS JOIN run r
    WHERE NOT l.is_detached AND list_contains(r.excluded_charge_types, c.charge_type)),
ranked AS (
    SELECT item_id, invoice_schedule_number AS number, run_date, status <> 'Processed' AS is_pending,
           coalesce(target_date_for_additional_subscriptions, run_date) AS until,
           row_number() OVER (PARTITION BY number, is_pending ORDER BY sequence_number) AS place,
           row_number() OVER (PARTITION BY number ORDER BY sequence_number DESC) AS place_from_last
    FROM invoice_schedule_items AT (VERSION => $snapshot))
SELECT s.number, i.item_id, i.is_pending, i.until, p.is_parked, s.account_number, s.additional_subscriptions_to_bill
FROM (FROM invoice_schedules AT (VERSION => $snapshot)) s
JOIN ranked i USING (number) JOIN paid p USING (number) CROSS JOIN run r CROSS JOIN rules
WHERE r.subscriptions AND number NOT IN (FROM left_out)
  AND CASE WHEN r.for_schedules THEN s.number IN (FROM named_schedules) AND s.status <> 'Paused'
           ELSE s.next_run_date <= r.target_date AND NOT (s.status = 'Paused' AND paused_schedules = 'skipped') END
  AND CASE WHEN i.is_pending THEN i.place = 1 OR (i.run_date <= r.target_date AND NOT r.for_schedules)
           ELSE i.place_from_last = 1 END

-- word: executed
-- The items of schedules that it processed.
SELECT item_id, invoice_schedule_number AS number, run_date, status,
       coalesce(target_date_for_additional_subscriptions, run_date) AS until
FROM ($parts) WHERE bill_run_number = $run

-- word: additional
-- Subscriptions that were to be billed together with schedules, up to a day of their own. (A run that came with its orders
-- saw what these did to schedules, which only shows in what it processed.)
SELECT subscription_number, account_number AS subscriber, max(until) AS until
FROM (SELECT account_number, until,
             unnest(from_json(additional_subscriptions_to_bill, '["VARCHAR"]')) AS subscription_number
      FROM (SELECT account_number, until, additional_subscriptions_to_bill FROM planned
            WHERE is_pending AND NOT (SELECT for_orders FROM run)
            UNION ALL
            SELECT s.account_number, e.until, s.additional_subscriptions_to_bill
            FROM executed e JOIN (FROM invoice_schedules AT (VERSION => $snapshot)) s USING (number)
            WHERE (SELECT for_orders FROM run)))
CROSS JOIN run r
WHERE r.for_schedules OR until > r.target_date
GROUP BY ALL

-- word: sold
-- Charge segments that the run was for: [starts, ends) is when they serve, `through` how far they were billed, `since`
-- the first day that was not (docs/rating.md, "When"), leaving out the days that schedules bill, and `ends` at the next of
-- these. `here` is null where billfold had not billed them; `until` is the day up to which they were to be billed.
WITH found AS (
    SELECT c.charge_number, c.segment, c.charge_name, c.charge_type, c.charge_model, c.price, c.quantity, c.uom,
           c.billing_period, c.specific_billing_period, c.list_price_base, s.owner, p.charged_through_date AS here,
           c.charge_type = 'Usage' OR c.billing_timing = 'IN_ARREARS' AS in_arrears,
           coalesce(c.effective_start_date, CASE c.trigger_event
               WHEN 'ContractEffective' THEN s.contract_effective_date
               WHEN 'ServiceActivation' THEN coalesce(s.service_activation_date, s.contract_effective_date)
               WHEN 'CustomerAcceptance'
               THEN coalesce(s.customer_acceptance_date, s.service_activation_date, s.contract_effective_date)
           END) AS starts,
           least(c.effective_end_date, s.cancelled_date, CASE s.term_type WHEN 'TERMED' THEN s.term_end_date END) AS ends,
           coalesce(p.charged_through_date, c.charged_through_date) AS through,
           greatest(starts, through) AS since,
           CASE c.charge_type WHEN 'Usage' THEN r.target_date ELSE greatest(r.target_date, m.until) END AS until
    FROM (FROM rate_plan_charges AT (VERSION => $inputs)) c
    JOIN subscribed s USING (subscription_number)
    JOIN chosen a ON a.account_number = s.owner
    LEFT JOIN additional m ON m.subscription_number = s.subscription_number AND m.subscriber = s.subscriber
    LEFT JOIN (FROM charge_progress AT (VERSION => $snapshot)) p USING (charge_number, segment)
    CROSS JOIN run r
    WHERE r.subscriptions AND s.is_billable AND NOT list_contains(r.excluded_charge_types, c.charge_type)
      AND c.charge_model <> 'DiscountPercentage'
      AND (NOT r.for_orders OR c.subscription_number IN (FROM named_subscriptions) OR m.subscription_number IS NOT NULL)
      AND (NOT r.for_schedules OR m.subscription_number IS NOT NULL)),
beside AS (
    SELECT charge_number, segment, max(c.upto) FILTER (c.first <= f.since AND f.since < c.upto) AS resumes,
           min(c.first) FILTER (c.first > f.since) AS stops
    FROM found f JOIN covered c USING (charge_number) GROUP BY ALL)
SELECT f.* REPLACE (coalesce(b.resumes, f.since) AS since, least(f.ends, b.stops) AS ends),
       b.charge_number IS NOT NULL AS is_scheduled
FROM found f LEFT JOIN beside b USING (charge_number, segment)

-- promise: partition: items
-- Every item is on exactly one document, for the same account and in the same currency, discounts with what they reduce;
-- items are numbered 1, 2, 3, …
SELECT concat('item ', item, ' is on no ', kind, ' of the book') AS broken
FROM items ANTI JOIN documents USING (kind, document)
UNION ALL
SELECT concat(kind, ' ', document, ' has no items') FROM documents ANTI JOIN items USING (kind, document)
UNION ALL
SELECT concat('item ', item, ' is for ', i.account_number, ' in ', i.currency, ', its ', kind, ' for ',
              d.account_number, ' in ', d.currency)
FROM items i JOIN documents d USING (kind, document)
WHERE (i.account_number, i.currency) <> (d.account_number, d.currency)
UNION ALL
SELECT concat('item ', item, ' is a discount on item ', applied_to_item_id, ' and not on its document')
FROM items
WHERE processing_type = 'Discount' AND (applied_to_item_id IS NULL OR (
    starts_with(applied_to_item_id, concat(split_part(document, '-', 1), '-', split_part(document, '-', 2), '-'))
    AND NOT starts_with(applied_to_item_id, concat(document, '-'))))
UNION ALL
SELECT concat(kind, ' ', document, ' has ', count(*), ' items, their last number is ', max(place))
FROM (SELECT *, CASE WHEN starts_with(item, concat(document, '-'))
                     THEN TRY_CAST(substr(item, len(document) + 2) AS BIGINT) END AS place FROM items)
GROUP BY kind, document
HAVING count(*) IS DISTINCT FROM max(place) OR count(DISTINCT place) <> count(*)

-- promise: partition: documents
-- The documents of a run are numbered 1, 2, 3, … in their ids, so none of them was taken away or added.
SELECT concat(bill_run_number, ' has ', count(*), ' documents, the last of them is number ', max(place)) AS broken
FROM (SELECT *, CASE WHEN starts_with(document, concat(bill_run_number, '-'))
                     THEN TRY_CAST(substr(document, len(bill_run_number) + 2) AS BIGINT) END AS place FROM documents)
GROUP BY bill_run_number
HAVING count(*) IS DISTINCT FROM max(place) OR count(DISTINCT place) <> count(*)

-- promise: partition: order lines
-- Every order line that was due when a run was made is on an item of that run, unless an earlier run had billed it or its
-- account is parked; and nothing is on an item that was not due. A run for some orders bills no others.
WITH due AS (
    SELECT o.order_number, o.item_number, o.owner
    FROM ordered o JOIN chosen a ON a.account_number = o.owner CROSS JOIN run r
    WHERE r.order_line_items AND o.item_state = 'SentToBilling' AND o.bill_target_date <= r.target_date
      AND (NOT r.for_orders OR o.order_number IN (FROM named_orders)) AND NOT r.for_schedules
      AND (o.order_number, o.item_number) NOT IN (FROM billed_before)),
billed AS (
    SELECT order_number, item_number, account_number AS owner FROM its_items WHERE source_type = 'OrderLineItem')
SELECT concat('order line ', order_number, ' ', item_number, ' of ', owner, ' was due and is not on ', $run) AS broken
FROM due ANTI JOIN billed USING (order_number, item_number, owner)
WHERE owner NOT IN (FROM parked)
UNION ALL
SELECT concat('order line ', order_number, ' ', item_number, ' is billed to ', owner, ' by ', $run, ' and was not due')
FROM billed ANTI JOIN due USING (order_number, item_number, owner)

-- promise: partition: charges
-- Every charge that owed something when a run was made is on items of that run, day by day from the first day that was not
-- billed, as far as it was due and no further, or its account is parked.
WITH billed AS (
    SELECT charge_number, segment, count(*) AS items, min(service_start_date) AS first,
           max(service_start_date) AS latest, max(service_end_date) + 1 AS upto,
           sum(service_end_date - service_start_date + 1) AS days
    FROM its_items
    WHERE source_type = 'SubscriptionComponent' AND processing_type = 'Charge' AND applied_to_item_id IS NULL
    GROUP BY charge_number, segment),
owing AS (
    SELECT s.*, CASE
        WHEN charge_type = 'OneTime'
        THEN starts <= until AND NOT is_scheduled AND (through IS NULL OR (here IS NULL AND through <= starts))
        WHEN in_arrears THEN ends <= until AND since < ends
        ELSE since <= until AND (ends IS NULL OR since < ends) END AND (ends IS NULL OR starts < ends) AS owes,
        charge_type = 'Usage' AND charge_model <> 'FlatFee' AND usage_without_records = 'skip' AS may_skip
    FROM sold s CROSS JOIN rules)
SELECT concat('charge ', charge_number, ' segment ', segment, ' ', fault, ', says ', $run) AS broken
FROM (
    SELECT *, CASE
        WHEN owner IS NULL THEN 'is on an item and was not among what the run bills'
        WHEN items IS NULL THEN CASE WHEN owes AND NOT may_skip AND owner NOT IN (FROM parked)
                                     THEN concat('of ', owner, ' owed something and is on no item') END
        WHEN charge_type = 'OneTime' THEN CASE WHEN owes IS NOT TRUE OR items <> 1 OR first <> starts OR upto <> starts + 1
                                               THEN 'is billed, but not once and on its first day' END
        WHEN first < since OR (first > since AND NOT may_skip)
        THEN concat('is billed from ', first, ' on instead of ', since)
        WHEN upto > ends THEN concat('is billed up to ', upto, ', but ends on ', ends)
        WHEN days > upto - first OR (days < upto - first AND NOT may_skip) THEN 'is billed twice for a day, or never'
        WHEN in_arrears AND upto > until THEN concat('is billed up to ', upto, ' before that day has come')
        WHEN in_arrears AND owes AND upto < ends AND NOT may_skip THEN 'is not billed to its end'
        WHEN NOT in_arrears AND latest > until THEN concat('is billed for ', latest, ' before that day has come')
        WHEN NOT in_arrears AND upto < least(until + 1, ends) THEN concat('is billed only up to ', upto)
        END AS fault
    FROM owing FULL JOIN billed USING (charge_number, segment))
WHERE fault IS NOT NULL

-- promise: partition: schedules
-- Every item of a schedule that was due when a run was made is processed by it, unless its account is parked, and no other;
-- a credit that was due is given; and there are no lines of an item that was not processed.
SELECT concat('item ', item_id, ' of schedule ', number, ' was due and is not processed by ', $run) AS broken
FROM planned ANTI JOIN (FROM executed WHERE status = 'Processed') USING (item_id, number)
WHERE is_pending AND NOT is_parked AND NOT (SELECT for_orders FROM run)
UNION ALL
SELECT concat('item ', item_id, ' of schedule ', number, ' is ', status, ' by ', $run, ' and was not due')
FROM executed ANTI JOIN planned USING (item_id, number)
WHERE NOT (SELECT for_orders FROM run)
UNION ALL
SELECT concat('schedule ', number, ' has ', s.unbilled_amount, ' left, and ', $run, ' left it')
FROM planned p JOIN (FROM invoice_schedules AT (VERSION => $after)) s USING (number)
WHERE NOT p.is_pending AND NOT p.is_parked AND s.unbilled_amount <> 0
  AND number NOT IN (SELECT number FROM planned WHERE is_pending)
UNION ALL
SELECT concat('item ', item, ' bills item ', invoice_schedule_item_id, ' of schedule ', invoice_schedule_number,
              ', which ', $run, ' did not process')
FROM its_items i WHERE source_type = 'InvoiceSchedule'
  AND (invoice_schedule_item_id, invoice_schedule_number) NOT IN (SELECT (item_id, number) FROM executed)

-- promise: partition: nothing left
-- After a run, no charge of its accounts is due any more or waits to be looked at, unless its account is parked.
SELECT concat('charge ', charge_number, ' segment ', segment, ' of ', owner, ' is due on ', p.next_due_date, ', and ',
              $run, ' left it') AS broken
FROM sold JOIN (FROM charge_progress AT (VERSION => $after)) p USING (charge_number, segment)
CROSS JOIN rules
WHERE p.next_due_date <= until AND owner NOT IN (FROM parked)
  -- periods without usage that are not billed at all stay due: their records may come yet
  AND NOT (usage_without_records = 'skip' AND charge_type = 'Usage' AND charge_model <> 'FlatFee')
UNION ALL
SELECT concat('charge ', charge_number, ' segment ', segment, ' of ', owner, ' was not looked at by ', $run)
FROM sold SEMI JOIN (FROM charges_to_review AT (VERSION => $after)) USING (charge_number, segment)
WHERE owner NOT IN (FROM parked)

-- promise: sums: headers
-- The items of every invoice and credit memo add up to its amount, and there are as many of them as it says.
SELECT concat(kind, ' ', document, ' says ', d.amount, ' for ', d.item_count, ' items, which are ', i.items,
              ' and add up to ', i.amount) AS broken
FROM documents d
LEFT JOIN (SELECT kind, document, sum(amount) AS amount, count(*) AS items FROM items GROUP BY ALL) i
USING (kind, document)
WHERE d.amount IS DISTINCT FROM i.amount OR d.item_count IS DISTINCT FROM i.items

-- promise: sums: accounts
-- What the documents of a run ask of an account, in each currency, is the sum of the lines that it owed.
WITH asked AS (
    SELECT bill_run_number, account_number, currency,
           sum(CASE kind WHEN 'invoice' THEN amount ELSE -amount END) AS amount
    FROM documents GROUP BY ALL),
owed AS (
    SELECT split_part(document, '-', 1) || '-' || split_part(document, '-', 2) AS bill_run_number, account_number,
           currency, sum(owed) AS amount
    FROM items GROUP BY ALL)
SELECT concat(account_number, ' is asked for ', a.amount, ' ', currency, ' by ', bill_run_number, ' and owed ', o.amount)
       AS broken
FROM asked a FULL JOIN owed o USING (bill_run_number, account_number, currency)
WHERE a.amount IS DISTINCT FROM o.amount

-- promise: sums: runs
-- The counts and the amounts that a run reports are those of its documents.
SELECT concat(r.bill_run_number, ' reports ', r.invoices, ' invoices, ', r.credit_memos, ' credit memos, ', r.items,
              ' items and ', r.parked_accounts, ' parked accounts; the book has ', coalesce(d.invoices, 0), ', ',
              coalesce(d.credit_memos, 0), ', ', coalesce(d.items, 0), ' and ', coalesce(p.set_aside, 0)) AS broken
FROM bill_runs r
LEFT JOIN (SELECT bill_run_number, count(*) FILTER (kind = 'invoice') AS invoices,
                  count(*) FILTER (kind = 'credit memo') AS credit_memos, sum(item_count) AS items
           FROM documents GROUP BY ALL) d USING (bill_run_number)
LEFT JOIN (SELECT bill_run_number, count(*) AS set_aside FROM parked_accounts GROUP BY ALL) p USING (bill_run_number)
WHERE (r.invoices, r.credit_memos, r.items, r.parked_accounts)
      <> (coalesce(d.invoices, 0), coalesce(d.credit_memos, 0), coalesce(d.items, 0), coalesce(p.set_aside, 0))
UNION ALL
SELECT concat(bill_run_number, ' reports ', s.invoiced, ' ', currency, ' invoiced and ', s.credited,
              ' credited; its documents add up to ', d.invoiced, ' and ', d.credited)
FROM (SELECT bill_run_number, currency,
             CAST(amounts->currency->>'invoices' AS DECIMAL(38, 4)) AS invoiced,
             CAST(amounts->currency->>'credit_memos' AS DECIMAL(38, 4)) AS credited
      FROM (SELECT *, unnest(json_keys(amounts)) AS currency FROM bill_runs)) s
FULL JOIN (SELECT bill_run_number, currency, coalesce(sum(amount) FILTER (kind = 'invoice'), 0) AS invoiced,
                  coalesce(sum(amount) FILTER (kind = 'credit memo'), 0) AS credited
           FROM documents GROUP BY ALL) d USING (bill_run_number, currency)
WHERE s.invoiced IS DISTINCT FROM d.invoiced OR s.credited IS DISTINCT FROM d.credited

-- promise: sums: accounts of runs
-- Every account that a run was for is billed, has nothing due, or is parked: the three counts add up to these accounts.
SELECT concat($run, ' was for ', chosen, ' accounts and reports ', accounts_billed, ' billed, ', accounts_nothing_due,
              ' with nothing due and ', parked_accounts, ' parked; ', billed, ' are billed') AS broken
FROM run CROSS JOIN (SELECT count(*) AS chosen FROM chosen) CROSS JOIN
     (SELECT count(DISTINCT account_number) AS billed FROM its_documents WHERE account_number NOT IN (FROM parked))
WHERE chosen <> accounts_billed + accounts_nothing_due + parked_accounts OR billed <> accounts_billed
UNION ALL
SELECT concat('account ', account_number, ' is billed or parked by ', $run, ', which was not for it')
FROM (SELECT account_number FROM its_documents UNION FROM parked) ANTI JOIN chosen USING (account_number)

-- promise: sums: minor units
-- Every new amount is a multiple of the smallest step of its currency. (What gives back an earlier item may be left of one
-- that was rounded to another step.)
SELECT concat('item ', item, ' is ', amount, ' ', currency, ', no multiple of ', step / 10000) AS broken
FROM its_items JOIN steps USING (currency)
WHERE CAST(amount * 10000 AS HUGEINT) % step <> 0
  AND (applied_to_item_id IS NULL OR starts_with(applied_to_item_id, concat($run, '-')))

-- promise: amounts: order lines
-- Every order line costs its quantity times its price, rounded once; returns cost as much with a minus.
WITH priced AS (
    SELECT i.item, i.owed, i.quantity, i.unit_price, l.item_category = 'Return' AS is_return, s.step,
           coalesce(l.quantity, 1) AS units, r.rounding_mode,
           CAST(l.amount_per_unit * 1000000000 AS HUGEINT) AS given,
           CAST(l.list_price_per_unit * 1000000000 AS HUGEINT) AS listed,
           CAST(coalesce(l.discount, 0) * 1000000000 AS HUGEINT) AS discount, l.discount_type
    FROM its_items i JOIN ordered l USING (order_number, item_number) JOIN steps s ON s.currency = i.currency
    CROSS JOIN rules r),
discounted AS (  -- the price of a unit, in 10^-9; a percentage is rounded half away from zero to as many decimals
    SELECT *, CASE WHEN given IS NOT NULL THEN given
                   WHEN discount_type = 'Percentage'
                   THEN sign(listed * (100000000000 - discount))
                        * ((2 * abs(listed * (100000000000 - discount)) + 100000000000) // 200000000000)
                   WHEN discount_type = 'FixedAmount' THEN listed - discount
                   ELSE listed END AS price
    FROM priced),
multiplied AS (  -- in 10^-18; what is too large for that is on no item
    SELECT *, step * 100000000000000 AS unit, CASE WHEN abs(CAST(units AS DOUBLE) * price) < 1e26
        THEN CAST(units * 1000000000 AS HUGEINT) * price END AS exact FROM discounted),
rounded AS (  -- in 10,000ths
    SELECT *, sign(exact) * step * CASE rounding_mode
        WHEN 'up' THEN (abs(exact) + unit - 1) // unit
        WHEN 'down' THEN abs(exact) // unit
        ELSE (2 * abs(exact) + unit) // (2 * unit) END AS amount
    FROM multiplied)
SELECT concat('item ', item, ' of an order line is ', owed, ', ', units, ' times ', price, 'e-9 is ', amount, 'e-4') AS broken
FROM rounded
WHERE CAST(owed * 10000 AS HUGEINT) IS DISTINCT FROM CASE WHEN is_return THEN -amount ELSE amount END
   OR quantity IS DISTINCT FROM units OR CAST(unit_price * 1000000000 AS HUGEINT) IS DISTINCT FROM price

-- promise: amounts: charges
-- A flat fee or a price per unit for a whole period costs quantity times price, rounded once; a part of a period, which is
-- named so, costs no more than that.
WITH priced AS (
    SELECT i.item, i.owed, i.quantity, i.unit_price, i.charge_name AS called, i.service_start_date AS first,
           i.service_end_date + 1 AS upto, coalesce(c.charge_name, c.charge_number) AS name, c.charge_type, s.step,
           r.rounding_mode, CASE c.charge_model WHEN 'FlatFee' THEN 1 ELSE c.quantity END AS units,
           CASE c.billing_period WHEN 'Month' THEN 1 WHEN 'Quarter' THEN 3 WHEN 'Semi_Annual' THEN 6
               WHEN 'Annual' THEN 12 WHEN 'Eighteen_Months' THEN 18 WHEN 'Two_Years' THEN 24 WHEN 'Three_Years' THEN 36
               WHEN 'Five_Years' THEN 60 WHEN 'Specific_Months' THEN c.specific_billing_period END AS months,
           CASE c.billing_period WHEN 'Week' THEN 7 WHEN 'Specific_Weeks' THEN 7 * c.specific_billing_period
               WHEN 'Specific_Days' THEN c.specific_billing_period END AS days,
           CASE WHEN c.charge_type = 'OneTime' THEN 1 WHEN c.list_price_base = 'Per_Month' THEN months
               WHEN c.list_price_base = 'Per_Week' THEN days // 7 ELSE 1 END AS periods,
           CAST(c.price * 1000000000 AS HUGEINT) * periods AS price
    FROM its_items i
    JOIN sold c USING (charge_number, segment)
    JOIN steps s ON s.currency = i.currency
    CROSS JOIN rules r
    WHERE i.source_type = 'SubscriptionComponent' AND i.processing_type = 'Charge' AND i.applied_to_item_id IS NULL
      AND c.charge_model IN ('FlatFee', 'PerUnit') AND (c.charge_type <> 'Usage' OR c.charge_model = 'FlatFee')),
multiplied AS (  -- in 10^-18; what is too large for that is on no item
    SELECT *, step * 100000000000000 AS unit, CASE WHEN abs(CAST(units AS DOUBLE) * price) < 1e26
        THEN CAST(units * 1000000000 AS HUGEINT) * price END AS exact FROM priced),
rounded AS (  -- in 10,000ths
    SELECT *, CAST(owed * 10000 AS HUGEINT) AS billed, sign(exact) * step * CASE rounding_mode
        WHEN 'up' THEN (abs(exact) + unit - 1) // unit
        WHEN 'down' THEN abs(exact) // unit
        ELSE (2 * abs(exact) + unit) // (2 * unit) END AS amount
    FROM multiplied)
SELECT concat('item ', item, ' is ', owed, ' for ', first, ' up to ', upto, '; a whole period of ', units, ' times ', price,
              'e-9 is ', amount, 'e-4') AS broken
FROM rounded
WHERE quantity IS DISTINCT FROM units OR CAST(unit_price * 1000000000 AS HUGEINT) <> price
   OR CASE
    WHEN called = name THEN billed IS DISTINCT FROM amount OR CASE
        WHEN charge_type = 'OneTime' THEN upto <> first + 1
        WHEN months IS NOT NULL
        THEN 12 * (year(upto) - year(first)) + month(upto) - month(first) <> months
        ELSE upto - first <> days END
    WHEN called = concat(name, ' Proration')
    THEN amount IS NULL OR abs(billed) > abs(amount) OR sign(billed) * sign(amount) < 0
    ELSE TRUE END

-- promise: amounts: usage
-- What an item says was used is the sum of the records that it bills, where no setting rounds their unit of measure.
SELECT concat('item ', item, ' bills ', i.quantity, ' units, its records have ', coalesce(u.quantity, 0)) AS broken
FROM its_items i
JOIN sold c USING (charge_number, segment)
LEFT JOIN (SELECT p.charge_number, p.segment, p.service_start_date, sum(r.quantity) AS quantity
           FROM processed_usage p JOIN (FROM usage AT (VERSION => $inputs)) r USING (usage_id)
           WHERE p.bill_run_number = $run GROUP BY ALL) u USING (charge_number, segment, service_start_date)
WHERE i.processing_type = 'Charge' AND i.applied_to_item_id IS NULL AND c.charge_type = 'Usage'
  AND c.charge_model <> 'FlatFee' AND i.quantity IS DISTINCT FROM coalesce(u.quantity, 0)
  AND coalesce(concat('uom_decimals.', c.uom) NOT IN (SELECT name FROM (FROM settings AT (VERSION => $snapshot))), TRUE)

-- promise: one value: attributes
-- Everything on a document has the document's account, currency, contact, payment term, template, sequence set, profile,
-- group number and origin, reckoned anew from the subscriptions, order lines and accounts that the run read.
WITH numbered AS (  -- accounts in which anything carries a group number
    SELECT owner FROM subscribed WHERE status = 'Active' AND invoice_group_number IS NOT NULL
    UNION
    SELECT owner FROM ordered
    WHERE item_state IN ('Executing', 'Booked', 'SentToBilling') AND invoice_group_number IS NOT NULL
      AND (order_number, item_number) NOT IN (FROM billed_before)),
payers AS (
    SELECT a.*, CASE rules.ungrouped WHEN 'separate' THEN TRUE WHEN 'pooled' THEN FALSE
        ELSE a.account_number IN (FROM numbered) AND NOT EXISTS (
            SELECT 1 FROM (FROM invoice_groups AT (VERSION => $snapshot)) g
            WHERE g.is_default OR g.number = a.invoice_group) END AS alone,
        rules.consolidate_invoices
    FROM chosen a CROSS JOIN rules),
carried AS (
    SELECT DISTINCT i.kind, i.document, s.subscription_number, h.number AS schedule, NULL AS order_number,
           NULL AS item_number, s.owner, s.currency, s.bill_to_contact, s.payment_term, s.invoice_template, s.sequence_set,
           s.communication_profile, s.invoice_group_number,
           -- what a schedule says of itself counts for its lines instead of what their subscriptions say
           coalesce(CASE WHEN h.number IS NULL THEN s.invoice_separately ELSE h.invoice_separately END, FALSE) AS apart,
           'Subscription' AS origin
    FROM its_items i JOIN subscribed s USING (subscription_number)
    LEFT JOIN (FROM invoice_schedules AT (VERSION => $snapshot)) h ON h.number = i.invoice_schedule_number
    UNION ALL
    SELECT i.kind, i.document, NULL, NULL, l.order_number, l.item_number, l.owner, l.currency, l.bill_to_contact,
           l.payment_term, l.invoice_template, l.sequence_set, l.communication_profile, l.invoice_group_number, FALSE,
           'Order'
    FROM its_items i JOIN ordered l USING (order_number, item_number) WHERE i.source_type = 'OrderLineItem'),
expected AS (
    SELECT c.kind, c.document, c.subscription_number, c.schedule, c.order_number, c.item_number,
           c.owner AS account_number,
           coalesce(c.currency, p.currency) AS currency,
           coalesce(c.bill_to_contact, p.bill_to_contact) AS bill_to_contact,
           coalesce(c.payment_term, p.payment_term) AS payment_term,
           coalesce(c.invoice_template, p.invoice_template) AS invoice_template,
           coalesce(c.sequence_set, p.sequence_set, 'DEFAULT') AS sequence_set,
           coalesce(c.communication_profile, p.communication_profile) AS communication_profile,
           CASE WHEN apart AND c.schedule IS NULL THEN c.subscription_number END AS separately,
           CASE WHEN apart THEN c.schedule END AS separate_schedule,
           -- capitals first, so that letters with several small forms agree; a Turkish I keeps its point as a mark
           CASE WHEN NOT apart THEN lower(upper(replace(c.invoice_group_number, chr(775), ''))) END AS group_number,
           NOT apart AND c.invoice_group_number IS NULL AND p.alone AS is_alone,
           CASE WHEN NOT apart AND p.consolidate_invoices = 'no' THEN c.origin END AS origin
    FROM carried c LEFT JOIN payers p ON p.account_number = c.owner)
SELECT concat(kind, ' ', document, ' holds ', coalesce('schedule ' || e.schedule || ' of ', ''),
              coalesce('subscription ' || e.subscription_number,
                       concat('order line ', e.order_number, ' ', e.item_number)), ', which differs in ', differs) AS broken
FROM (
    SELECT e.*, concat_ws(', ',
        CASE WHEN e.account_number IS DISTINCT FROM d.account_number THEN 'account' END,
        CASE WHEN e.currency IS DISTINCT FROM d.currency THEN 'currency' END,
        CASE WHEN e.bill_to_contact IS DISTINCT FROM d.bill_to_contact THEN 'bill_to_contact' END,
        CASE WHEN e.payment_term IS DISTINCT FROM d.payment_term THEN 'payment_term' END,
        CASE WHEN e.invoice_template IS DISTINCT FROM d.invoice_template THEN 'invoice_template' END,
        CASE WHEN e.sequence_set IS DISTINCT FROM d.sequence_set THEN 'sequence_set' END,
        CASE WHEN e.communication_profile IS DISTINCT FROM d.communication_profile THEN 'communication_profile' END,
        CASE WHEN e.separately IS DISTINCT FROM (d.group_key->>'invoice_separately') THEN 'invoice_separately' END,
        CASE WHEN e.separate_schedule IS DISTINCT FROM (d.group_key->>'invoice_schedule') THEN 'invoice_schedule' END,
        CASE WHEN e.group_number IS DISTINCT FROM
                  lower(upper(replace(d.group_key->>'invoice_group_number', chr(775), '')))
             THEN 'invoice_group_number' END,
        CASE WHEN e.is_alone IS DISTINCT FROM ((d.group_key->>'ungrouped') IS NOT NULL)
               OR (e.is_alone AND (CASE WHEN e.schedule IS NULL THEN e.subscription_number END, e.schedule,
                                   e.order_number, e.item_number) IS DISTINCT FROM
                      ((d.group_key->>'ungrouped'->>'subscription_number'),
                       (d.group_key->>'ungrouped'->>'invoice_schedule_number'),
                       (d.group_key->>'ungrouped'->>'order_number'), (d.group_key->>'ungrouped'->>'item_number')))
             THEN 'being ungrouped' END,
        CASE WHEN e.origin IS DISTINCT FROM (d.group_key->>'origin') THEN 'origin' END) AS differs
    FROM expected e JOIN its_documents d USING (kind, document)) e
WHERE differs <> ''
UNION ALL
SELECT concat('item ', item, ' is of something that the book did not have')
FROM its_items i
WHERE (source_type = 'SubscriptionComponent'
       AND subscription_number NOT IN (SELECT subscription_number FROM subscribed WHERE is_billable))
   OR (source_type = 'InvoiceSchedule' AND subscription_number NOT IN (SELECT subscription_number FROM subscribed))
   OR (source_type = 'InvoiceSchedule' AND invoice_schedule_number NOT IN (
       SELECT number FROM (FROM invoice_schedules AT (VERSION => $snapshot))))
   OR (source_type = 'OrderLineItem'
       AND (order_number, item_number) NOT IN (SELECT (order_number, item_number) FROM ordered))

-- promise: one value: configured fields
-- Everything on a document has the document's values of the configured grouping fields, position by position.
WITH standard (object, field, name) AS (VALUES
    ('Subscription', 'accountid', 'account_number'), ('Subscription', 'name', 'subscription_number'),
    ('Subscription', 'soldtocontactid', 'sold_to_contact'), ('Subscription', 'soldto', 'sold_to_contact'),
    ('Subscription', 'termtype', 'term_type'), ('RatePlanCharge', 'productrateplanchargeid', 'product_rate_plan_charge_id'),
    ('RatePlanCharge', 'billcycleday', 'bill_cycle_day'), ('RatePlanCharge', 'billingcycleday', 'bill_cycle_day'),
    ('RatePlanCharge', 'billingperiod', 'billing_period'), ('RatePlanCharge', 'chargemodel', 'charge_model'),
    ('RatePlanCharge', 'chargetype', 'charge_type'), ('OrderLineItem', 'itemname', 'item_name'),
    ('OrderLineItem', 'itemnumber', 'item_number'), ('OrderLineItem', 'itemtype', 'item_type'),
    ('OrderLineItem', 'orderid', 'order_number'), ('OrderLineItem', 'soldtocontactid', 'sold_to_contact'),
    ('OrderLineItem', 'soldto', 'sold_to_contact')),
configured AS (  -- the fields of each account's configuration: its own, else the default one
    SELECT a.account_number, side, unnest(range(len(fields))) AS place, fields[place + 1] AS entry
    FROM (SELECT a.account_number, side, from_json(coalesce(own.meta, usual.meta)->side,
                                                   '[{"objectType": "VARCHAR", "field": "VARCHAR"}]') AS fields
          FROM chosen a
          LEFT JOIN (FROM invoice_groups AT (VERSION => $snapshot)) own
                 ON own.number = a.invoice_group AND NOT own.is_default
          LEFT JOIN (FROM invoice_groups AT (VERSION => $snapshot)) usual ON usual.is_default
          CROSS JOIN (VALUES ('subscriptionGroup'), ('orderLineItemGroup')) sides (side)) a),
carriers AS (  -- each charge and order line with its own row or its subscription's, as JSON; discounts go with charges
    SELECT DISTINCT c.kind, c.document, concat('charge ', c.charge_number) AS what, 'subscriptionGroup' AS side, f.place,
           f.entry, CASE f.entry.objectType WHEN 'Subscription' THEN to_json(s) ELSE to_json(r) END AS fields
    FROM its_items c
    JOIN configured f ON f.account_number = c.account_number AND f.side = 'subscriptionGroup'
    JOIN (FROM subscriptions AT (VERSION => $inputs)) s ON s.subscription_number = c.subscription_number
    JOIN (FROM rate_plan_charges AT (VERSION => $inputs)) r
      ON r.charge_number = c.charge_number AND r.segment = c.segment
    WHERE c.processing_type = 'Charge'
    UNION ALL
    SELECT c.kind, c.document, concat('order line ', l.order_number, ' ', l.item_number), 'orderLineItemGroup', f.place,
           f.entry, to_json(l)
    FROM its_items c
    JOIN configured f ON f.account_number = c.account_number AND f.side = 'orderLineItemGroup'
    JOIN (FROM order_line_items AT (VERSION => $inputs)) l
      ON l.order_number = c.order_number AND l.item_number = c.item_number
    WHERE c.source_type = 'OrderLineItem'),
compared AS (
    SELECT c.kind, c.document, what, c.entry.field AS field,
           fields->>coalesce(s.name, CASE WHEN list_contains(json_keys(fields), c.entry.field) THEN c.entry.field
                                          ELSE concat(c.entry.field, '__c') END) AS own,
           from_json(d.group_key->>'invoice_group_value', '["VARCHAR"]')[c.place + 1] AS shown
    FROM carriers c
    JOIN its_documents d USING (kind, document)
    LEFT JOIN standard s
      ON s.object = c.entry.objectType AND s.field = regexp_replace(lower(c.entry.field), '[^a-z0-9]', '', 'g'))
SELECT concat(kind, ' ', document, ' holds ', what, ', whose ', field, ' is ', own, ' instead of ', shown) AS broken
FROM compared
WHERE own IS DISTINCT FROM shown
  -- numbers and times may be spelled in several ways; lists and structures are spelled differently by every tool
  AND NOT coalesce(TRY_CAST(own AS DOUBLE) = TRY_CAST(shown AS DOUBLE), FALSE)
  AND NOT coalesce(TRY_CAST(own AS TIMESTAMP) = TRY_CAST(shown AS TIMESTAMP), FALSE)
  AND NOT coalesce(regexp_matches(shown, '^[\[{]'), FALSE)
  -- bytes are shown as digits of their own, and JSON has several words for those that are no letters
  AND lower(hex(own)) IS DISTINCT FROM shown AND NOT coalesce(contains(own, '\x'), FALSE)
UNION ALL
SELECT concat(kind, ' ', document, ' has ', coalesce(len(shown), 0), ' group values, but ', places, ' are configured for ',
              source_type)
FROM (SELECT c.*, from_json(d.group_key->>'invoice_group_value', '["VARCHAR"]') AS shown, coalesce(f.places, 0) AS places
      FROM (SELECT DISTINCT kind, document, account_number, source_type FROM its_items) c
      JOIN its_documents d USING (kind, document)
      LEFT JOIN (SELECT account_number, side, count(*) AS places FROM configured GROUP BY ALL) f
        ON f.account_number = c.account_number
       AND f.side = CASE c.source_type WHEN 'OrderLineItem' THEN 'orderLineItemGroup' ELSE 'subscriptionGroup' END)
WHERE coalesce(len(shown), 0) <> places

-- promise: one value: headers
-- What a document shows of its account, attributes, group number and group values is what its group key says.
SELECT concat(kind, ' ', document, ' shows other values than its group key in ', differs) AS broken
FROM (
    SELECT *, concat_ws(', ',
        CASE WHEN account_number IS DISTINCT FROM (group_key->>'invoice_owner_account_number') THEN 'account' END,
        CASE WHEN currency IS DISTINCT FROM (group_key->>'currency') THEN 'currency' END,
        CASE WHEN bill_to_contact IS DISTINCT FROM (group_key->>'bill_to_contact') THEN 'bill_to_contact' END,
        CASE WHEN payment_term IS DISTINCT FROM (group_key->>'payment_term') THEN 'payment_term' END,
        CASE WHEN invoice_template IS DISTINCT FROM (group_key->>'invoice_template') THEN 'invoice_template' END,
        CASE WHEN sequence_set IS DISTINCT FROM (group_key->>'sequence_set') THEN 'sequence_set' END,
        CASE WHEN communication_profile IS DISTINCT FROM (group_key->>'communication_profile')
             THEN 'communication_profile' END,
        CASE WHEN (group_key->>'invoice_separately') IS NULL AND (group_key->>'invoice_schedule') IS NULL
              AND lower(upper(replace(invoice_group_number, chr(775), ''))) IS DISTINCT FROM
                  lower(upper(replace(group_key->>'invoice_group_number', chr(775), '')))
             THEN 'invoice_group_number' END,
        CASE WHEN invoice_group_value IS DISTINCT FROM CASE WHEN len(list_filter(given, lambda v: v IS NOT NULL)) > 0
                  THEN array_to_string(list_transform(given, lambda v: coalesce(v, '')), '_') END
             THEN 'invoice_group_value' END) AS differs
    FROM (SELECT *, from_json(group_key->>'invoice_group_value', '["VARCHAR"]') AS given FROM documents))
WHERE differs <> ''

-- promise: no needless split
-- Two invoices, or two credit memos, of one run differ in some component of their group key.
SELECT concat(count(*), ' ', kind, 's of ', bill_run_number, ' agree in every component: ', min(document), ', …, ',
              max(document)) AS broken
FROM documents
GROUP BY kind, bill_run_number, CAST(json(group_key) AS VARCHAR)
HAVING count(*) > 1

-- promise: once: charges
-- No day of a charge segment is billed twice by runs that count, unless the earlier item was given back from that day on.
-- (Giving back may be worth nothing: of a tiny amount, or of one day of a month under an assumption of 30 days.)
WITH original AS (
    SELECT item, bill_run_number, charge_number, segment, service_start_date AS first, service_end_date AS last, amount,
           greatest(unit, CAST(value AS DECIMAL(18, 4))) AS unit,
           max(service_end_date) OVER (PARTITION BY charge_number, segment ORDER BY service_start_date, item
                                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) >= service_start_date AS late,
           min(service_start_date) OVER (PARTITION BY charge_number, segment ORDER BY service_start_date, item
                                         ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) <= service_end_date AS early
    FROM counting JOIN minor_units USING (currency)
    LEFT JOIN settings ON name = concat('rounding_increment.', currency)
    WHERE source_type = 'SubscriptionComponent' AND processing_type = 'Charge' AND applied_to_item_id IS NULL)
SELECT concat('charge ', b.charge_number, ' segment ', b.segment, ' is billed from ', greatest(a.first, b.first), ' to ',
              least(a.last, b.last), ' by item ', a.item, ' and by item ', b.item) AS broken
FROM (FROM original WHERE early OR late) a
JOIN (FROM original WHERE early OR late) b
  ON b.charge_number = a.charge_number AND b.segment = a.segment AND b.first <= a.last AND b.last >= a.first
 AND (a.bill_run_number, a.item) < (b.bill_run_number, b.item)
WHERE a.bill_run_number = b.bill_run_number
   OR NOT (EXISTS (SELECT 1 FROM counting c
                   WHERE c.applied_to_item_id = a.item AND c.processing_type = 'Charge'
                     AND c.service_start_date <= greatest(a.first, b.first) AND c.bill_run_number < b.bill_run_number)
           OR abs(a.amount) <= a.unit * (a.last - a.first + 1)
           OR 28 * (least(a.last, b.last) - greatest(a.first, b.first) + 1) <= a.last - a.first + 1)

-- promise: once: order lines
-- No order line is on two items of runs that count.
SELECT concat('order line ', order_number, ' ', item_number, ' is on ', count(*), ' items: ', min(item), ', …, ', max(item))
       AS broken
FROM counting WHERE source_type = 'OrderLineItem'
GROUP BY order_number, item_number
HAVING count(*) > 1

-- promise: once: usage
-- No usage record is billed by two runs that count, and every billed one is on an item of the run that billed it.
SELECT concat('usage record ', usage_id, ' is billed by ', count(*), ' runs: ', string_agg(bill_run_number, ', ')) AS broken
FROM processed_usage
WHERE bill_run_number NOT IN (SELECT bill_run_number FROM bill_runs WHERE status = 'Canceled')
GROUP BY usage_id
HAVING count(*) > 1
UNION ALL
SELECT concat('usage record ', usage_id, ' is billed by ', bill_run_number, ', which has no item of charge ',
              charge_number, ' from ', service_start_date, ' on')
FROM processed_usage p
ANTI JOIN (SELECT d.bill_run_number, i.* FROM items i JOIN documents d USING (kind, document)) i
USING (bill_run_number, account_number, charge_number, segment, service_start_date)

-- promise: once: ids
-- Nothing in the book has the id of another thing of its kind.
SELECT concat('there are ', rows, ' ', what, ' with the id ', id) AS broken
FROM (
    SELECT 'accounts' AS what, account_number AS id, count(*) AS rows FROM accounts GROUP BY ALL
    UNION ALL SELECT 'subscriptions', subscription_number, count(*) FROM subscriptions GROUP BY ALL
    UNION ALL SELECT 'product_rate_plan_charges', product_rate_plan_charge_id, count(*)
              FROM product_rate_plan_charges GROUP BY ALL
    UNION ALL SELECT 'rate_plan_charges', concat_ws(' ', charge_number, segment), count(*)
              FROM rate_plan_charges GROUP BY charge_number, segment
    UNION ALL SELECT 'usage', usage_id, count(*) FROM usage GROUP BY ALL
    UNION ALL SELECT 'orders', order_number, count(*) FROM orders GROUP BY ALL
    UNION ALL SELECT 'order_actions', concat_ws(' ', order_number, sequence), count(*)
              FROM order_actions GROUP BY order_number, sequence
    UNION ALL SELECT 'order_line_items', concat_ws(' ', order_number, item_number), count(*)
              FROM order_line_items GROUP BY order_number, item_number
    UNION ALL SELECT 'sequence_sets', name, count(*) FROM sequence_sets GROUP BY ALL
    UNION ALL SELECT 'contacts', contact, count(*) FROM contacts GROUP BY ALL
    UNION ALL SELECT 'invoice_groups', number, count(*) FROM invoice_groups GROUP BY ALL
    UNION ALL SELECT 'invoice_schedules', number, count(*) FROM invoice_schedules GROUP BY ALL
    UNION ALL SELECT 'invoice_schedule_items', item_id, count(*) FROM invoice_schedule_items GROUP BY ALL
    UNION ALL SELECT 'invoice_schedule_charges', concat_ws(' ', invoice_schedule_number, charge_number), count(*)
              FROM invoice_schedule_charges GROUP BY invoice_schedule_number, charge_number
    UNION ALL SELECT 'settings', name, count(*) FROM settings GROUP BY ALL
    UNION ALL SELECT 'bill_runs', bill_run_number, count(*) FROM bill_runs GROUP BY ALL
    UNION ALL SELECT 'documents', document, count(*) FROM documents GROUP BY ALL
    UNION ALL SELECT 'items', item, count(*) FROM items GROUP BY ALL
    UNION ALL SELECT 'parked_accounts', concat_ws(' ', bill_run_number, account_number), count(*)
              FROM parked_accounts GROUP BY bill_run_number, account_number
    UNION ALL SELECT 'processed_usage', concat_ws(' ', usage_id, bill_run_number), count(*)
              FROM processed_usage GROUP BY usage_id, bill_run_number
    UNION ALL SELECT 'charge_progress', concat_ws(' ', charge_number, segment), count(*)
              FROM charge_progress GROUP BY charge_number, segment
    UNION ALL SELECT 'charges_to_review', concat_ws(' ', charge_number, segment), count(*)
              FROM charges_to_review GROUP BY charge_number, segment
    UNION ALL SELECT 'late_usage', usage_id, count(*) FROM late_usage GROUP BY ALL)
WHERE rows > 1

-- promise: numbers: gapless
-- The numbers of posted documents go up by one under every prefix, to the last one that was given; they begin at 1, or at a
-- start that some sequence set had.
WITH starts AS (
    SELECT unnest([invoice_prefix, credit_memo_prefix]) AS prefix, unnest([invoice_start, credit_memo_start]) AS start
    FROM ducklake_table_insertions('book', 'main', 'sequence_sets', 0, $now))
SELECT concat('after ', prefix, before, ' comes ', prefix, sequence) AS broken
FROM (SELECT prefix, sequence, coalesce(lag(sequence) OVER (PARTITION BY prefix ORDER BY sequence), 0) AS before
      FROM numbers) n
WHERE sequence <> before + 1
  AND (sequence = before OR (prefix, sequence) NOT IN (SELECT (prefix, start) FROM starts WHERE start IS NOT NULL))
UNION ALL
SELECT concat('the last number under ', c.name, ' is ', n.last, ', but ', c.value, ' was given')
FROM billfold.counters c
LEFT JOIN (SELECT prefix, max(sequence) AS last FROM numbers GROUP BY ALL) n ON n.prefix = c.name
WHERE c.name NOT IN ('bill_run', 'invoice_group', 'TMP-INV-', 'TMP-CM-') AND NOT starts_with(c.name, 'number.')
  AND n.last IS DISTINCT FROM c.value

-- promise: numbers: in order
-- Documents of one run that were posted together have numbers in the order of their ids, under each prefix.
SELECT concat(kind, ' ', document, ' has the number ', number, ', the one before it in its run the number ', prefix, before)
       AS broken
FROM (SELECT *, lag(sequence) OVER (PARTITION BY kind, bill_run_number, posting, prefix ORDER BY document) AS before
      FROM numbers)
WHERE before > sequence

-- promise: numbers: drafts and documents
-- Final documents have a final number, each its own; drafts and canceled ones have a temporary number and no due date.
SELECT concat(kind, ' ', document, ' is ', status, ' and has the number ', number, ', posting ', coalesce(posting, 0),
              ' and the due date ', coalesce(CAST(due_date AS VARCHAR), 'none')) AS broken
FROM documents
WHERE (status = 'Posted') <> (posting IS NOT NULL)
   OR (status <> 'Posted') <> starts_with(number, CASE kind WHEN 'invoice' THEN 'TMP-INV-' ELSE 'TMP-CM-' END)
   OR (due_date IS NOT NULL AND NOT (status = 'Posted' AND kind = 'invoice'))
   OR (status = 'Posted' AND kind = 'invoice' AND regexp_full_match(payment_term, 'Net \d{1,4}|Due Upon Receipt')
       AND due_date IS DISTINCT FROM date + coalesce(TRY_CAST(substr(payment_term, 5) AS INTEGER), 0)
       AND concat('payment_term.', payment_term) NOT IN (SELECT name FROM settings))
UNION ALL
SELECT concat(kind, ' ', document, ' has the number ', number, ', which no sequence set can have given')
FROM documents ANTI JOIN numbers USING (kind, document)
WHERE status = 'Posted'
UNION ALL
SELECT concat(count(*), ' ', kind, 's have the number ', number) FROM documents GROUP BY kind, number HAVING count(*) > 1

-- promise: numbers: runs
-- Bill runs are numbered without a gap up to the last one that was made, so no run was taken away.
SELECT concat('there is no bill run BR-', lpad(CAST(n AS VARCHAR), 8, '0')) AS broken
FROM (SELECT unnest(range(1, value + 1)) AS n FROM billfold.counters WHERE name = 'bill_run')
WHERE n NOT IN (SELECT CAST(substr(bill_run_number, 4) AS BIGINT) FROM bill_runs)
UNION ALL
SELECT concat('no number was given for ', bill_run_number)
FROM bill_runs
WHERE CAST(substr(bill_run_number, 4) AS BIGINT)
      > coalesce((SELECT max(value) FROM billfold.counters WHERE name = 'bill_run'), 0)

-- promise: schedules
-- What an invoice schedule has billed and what it is still to bill add up to its whole; so do the amounts of its charges.
SELECT concat('schedule ', number, ' has billed ', billed_amount, ' and ', unbilled_amount, ' is left of ', actual_amount)
       AS broken
FROM invoice_schedules
WHERE coalesce(billed_amount, 0) + coalesce(unbilled_amount, 0) <> coalesce(actual_amount, total_amount, 0)
UNION ALL
SELECT concat('schedule ', number, ' has the total ', s.total_amount, ', really ', s.actual_amount, ', and billed ',
              s.billed_amount, '; its charges have ', coalesce(c.total, 0), ', ', coalesce(c.actual, 0), ' and ',
              coalesce(c.billed, 0))
FROM invoice_schedules s
LEFT JOIN (SELECT invoice_schedule_number AS number, sum(total_amount) AS total, sum(actual_amount) AS actual,
                  sum(billed_amount) AS billed
           FROM invoice_schedule_charges GROUP BY ALL) c USING (number)
WHERE (s.total_amount, s.actual_amount, s.billed_amount)
      IS DISTINCT FROM (coalesce(c.total, 0), coalesce(c.actual, 0), coalesce(c.billed, 0))
UNION ALL
SELECT concat(what, ' ', id, ' belongs to schedule ', number, ', which is not in the book')
FROM (SELECT 'charge' AS what, charge_number AS id, invoice_schedule_number AS number FROM invoice_schedule_charges
      UNION ALL SELECT 'item', item_id, invoice_schedule_number FROM invoice_schedule_items)
ANTI JOIN invoice_schedules USING (number)

-- promise: schedules: charges
-- What a schedule says that it billed of a charge is what its lines that count add up to, less discounts and credits. It
-- is all there is to bill of a charge that was detached, and, once nothing is left to bill, of every one that never changed.
SELECT concat('schedule ', number, ' says that it billed ', coalesce(c.billed_amount, 0), ' of charge ', charge_number,
              '; its lines add up to ', coalesce(l.owed, 0)) AS broken
FROM (SELECT invoice_schedule_number AS number, * EXCLUDE (invoice_schedule_number) FROM invoice_schedule_charges) c
FULL JOIN (SELECT number, charge_number, sum(owed) AS owed FROM scheduled GROUP BY ALL) l USING (number, charge_number)
WHERE c.billed_amount IS DISTINCT FROM coalesce(l.owed, 0)
UNION ALL
SELECT concat('schedule ', number, ' bills ', c.actual_amount, ' of charge ', c.charge_number, ' and has billed ',
              c.billed_amount, ' of it, though ', CASE WHEN c.is_detached THEN 'it was detached' ELSE 'nothing is left' END)
FROM invoice_schedule_charges c JOIN invoice_schedules s ON s.number = c.invoice_schedule_number
WHERE c.actual_amount <> c.billed_amount
  AND (c.is_detached OR (s.unbilled_amount = 0 AND c.actual_amount = c.total_amount AND NOT EXISTS (
      SELECT 1 FROM invoice_schedule_items i
      WHERE i.invoice_schedule_number = s.number AND i.status <> 'Processed')))

-- promise: schedules: items
-- Every item that was processed billed what its lines add up to; all of them, what their schedule billed. What the others
-- are going to bill is what their schedule has left. Plans add up to 100 %, and, unless what there is to bill ever changed,
-- to the total.
WITH billed AS (SELECT item_id, sum(owed) AS owed FROM scheduled GROUP BY ALL),
sums AS (
    SELECT invoice_schedule_number AS number, count(*) FILTER (status <> 'Processed') AS pending,
           coalesce(sum(actual_amount) FILTER (status = 'Processed'), 0) AS billed,
           coalesce(sum(actual_amount) FILTER (status <> 'Processed'), 0) AS unbilled, sum(amount) AS planned,
           sum(percentage) AS percentages, count(percentage) AS by_percentage, count(*) AS items
    FROM invoice_schedule_items GROUP BY ALL),
constant AS (
    SELECT number FROM ducklake_table_insertions('book', 'main', 'invoice_schedules', 0, $now)
    GROUP BY ALL HAVING bool_and(actual_amount = total_amount))
SELECT concat('item ', item_id, ' of schedule ', invoice_schedule_number, ' is ', status, ' and has billed ', actual_amount,
              '; its lines add up to ', coalesce(owed, 0)) AS broken
FROM invoice_schedule_items LEFT JOIN billed USING (item_id)
WHERE CASE status WHEN 'Processed' THEN actual_amount IS DISTINCT FROM coalesce(owed, 0) ELSE owed IS NOT NULL END
UNION ALL
SELECT concat('schedule ', number, ' has billed ', s.billed_amount, ' and ', s.unbilled_amount, ' is left; its items have ',
              'billed ', i.billed, ', and ', i.pending, ' of them are going to bill ', i.unbilled)
FROM invoice_schedules s JOIN sums i USING (number)
WHERE s.billed_amount <> i.billed OR (i.pending > 0 AND s.unbilled_amount <> i.unbilled)
UNION ALL
SELECT concat('schedule ', number, ' has the total ', s.total_amount, ', its items are planned for ', i.planned,
              CASE WHEN by_percentage > 0 THEN concat(', ', by_percentage, ' of ', items, ' for ', percentages, ' %') END)
FROM invoice_schedules s JOIN sums i USING (number)
WHERE (i.planned <> s.total_amount AND s.number IN (FROM constant))
   OR (by_percentage > 0 AND (by_percentage < items OR percentages <> 100))

-- promise: schedules: status
-- Items are processed in order, each by a run that counts; what schedules say about their progress follows from them.
WITH ordered_items AS (
    SELECT *, row_number() OVER (PARTITION BY invoice_schedule_number ORDER BY sequence_number) AS place,
           lag(status) OVER (PARTITION BY invoice_schedule_number ORDER BY sequence_number) AS before
    FROM invoice_schedule_items),
counts AS (
    SELECT invoice_schedule_number AS number, count(*) AS items, count(*) FILTER (status = 'Processed') AS done
    FROM invoice_schedule_items GROUP BY ALL)
SELECT concat('schedule ', number, ' is ', s.status, ', and ', coalesce(done, 0), ' of its ', coalesce(items, 0),
              ' items are processed') AS broken
FROM invoice_schedules s LEFT JOIN counts USING (number)
WHERE s.status <> CASE WHEN s.status = 'Paused' THEN 'Paused' WHEN coalesce(done, 0) = 0 THEN 'Pending'
                       WHEN done < items THEN 'PartiallyProcessed' ELSE 'FullyProcessed' END
UNION ALL
SELECT concat('item ', item_id, ' of schedule ', invoice_schedule_number, ' has the place ', sequence_number, ' and is ',
              i.status, ' by ', coalesce(i.bill_run_number, 'no run'), ', which is ', coalesce(r.status, 'not there'),
              '; the item before it is ', coalesce(before, 'not there'))
FROM ordered_items i LEFT JOIN bill_runs r USING (bill_run_number)
WHERE place <> sequence_number OR (i.status = 'Processed' AND before <> 'Processed')
   OR (i.status = 'Processed') <> (i.bill_run_number IS NOT NULL)
   OR (i.status = 'Processed' AND coalesce(r.status, 'Canceled') = 'Canceled')

-- promise: schedules: documents
-- The documents that an item names count and hold lines of it; its lines are on no document of another kind than these, and
-- the run that it names is the last that made one. Lines of schedules that count name an item of the book.
WITH named AS (
    SELECT item_id, invoice_schedule_number AS number, status, 'invoice' AS kind, invoice_id AS document
    FROM invoice_schedule_items
    UNION ALL
    SELECT item_id, invoice_schedule_number, status, 'credit memo', credit_memo_id FROM invoice_schedule_items),
holding AS (
    SELECT item_id, number, kind, document, split_part(document, '-', 1) || '-' || split_part(document, '-', 2) AS run_number
    FROM scheduled GROUP BY ALL)
SELECT concat('item ', item_id, ' of schedule ', number, ' is ', status, ' and names the ', kind, ' ', document,
              ', which holds no line of it that counts') AS broken
FROM named ANTI JOIN holding USING (item_id, number, kind, document) WHERE document IS NOT NULL
UNION ALL
SELECT concat('item ', item_id, ' of schedule ', number, ' has lines on the ', kind, ' ', document, ' and names none')
FROM holding ANTI JOIN (FROM named WHERE document IS NOT NULL) USING (item_id, number, kind)
UNION ALL
SELECT concat('item ', item_id, ' of schedule ', invoice_schedule_number, ' names ', coalesce(bill_run_number, 'no run'),
              ', and ', last, ' made the last lines of it')
FROM invoice_schedule_items JOIN (SELECT item_id, max(run_number) AS last FROM holding GROUP BY ALL) USING (item_id)
WHERE bill_run_number IS DISTINCT FROM last

-- promise: schedules: once
-- No day of a charge is in two schedules that bill it, or billed by period too, unless that was given back; and no more of a
-- schedule's line is given back than it billed.
WITH spans AS (  -- the days that are the schedule's: of a charge that was detached, those that it billed
    SELECT charge_number, invoice_schedule_number AS number, is_detached, from_date AS first,
           CASE WHEN is_detached THEN detached_through ELSE through_date END AS upto
    FROM invoice_schedule_charges),
given_back AS (
    SELECT applied_to_item_id AS item, processing_type, sum(owed) AS owed
    FROM counting WHERE applied_to_item_id IS NOT NULL GROUP BY ALL)
SELECT concat('charge ', charge_number, ' is from ', first, ' on in schedule ', number, ', and up to ', taken, ' in ',
              'another one') AS broken
FROM (SELECT *, max(upto) OVER (PARTITION BY charge_number ORDER BY first, number
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS taken
      FROM spans WHERE NOT is_detached)
WHERE first < taken AND first < upto
UNION ALL
SELECT concat('item ', item, ' bills charge ', charge_number, ' from ', service_start_date, ' to ', service_end_date,
              ', which schedule ', number, ' bills from ', first, ' up to ', upto)
FROM counting i JOIN spans USING (charge_number)
WHERE i.source_type = 'SubscriptionComponent' AND i.processing_type = 'Charge' AND i.applied_to_item_id IS NULL
  AND i.service_start_date < upto AND i.service_end_date >= first
  AND item NOT IN (SELECT item FROM given_back WHERE processing_type = 'Charge')
UNION ALL
SELECT concat('item ', item, ' of schedule ', i.invoice_schedule_number, ' bills ', i.owed, ', and ', g.owed,
              ' is given back of it')
FROM counting i JOIN given_back g USING (item, processing_type)
WHERE i.source_type = 'InvoiceSchedule' AND sign(i.owed) * (i.owed + g.owed) < 0

-- promise: schedules: apart
-- A document of a schedule that is invoiced separately holds lines of this schedule only.
SELECT concat(kind, ' ', document, ' is for schedule ', d.alone, ' alone and holds item ', item, ' of ',
              coalesce(concat('schedule ', i.invoice_schedule_number), 'no schedule')) AS broken
FROM (SELECT kind, document, group_key->>'invoice_schedule' AS alone FROM documents) d JOIN items i USING (kind, document)
WHERE alone IS NOT NULL AND i.invoice_schedule_number IS DISTINCT FROM alone

-- promise: orders: returns
-- What return lines that are not canceled give back of a sale is never more than was sold. (Loaded returns are what they
-- are, and so are sales that were loaded anew after something was given back of them.)
WITH written AS (
    SELECT order_number, item_number, snapshot_id, coalesce(starts_with(commit_message, 'load '), FALSE) AS loaded
    FROM ducklake_table_insertions('book', 'main', 'order_line_items', 0, $now)
    JOIN ducklake_snapshots('book') USING (snapshot_id)),
returned AS (
    SELECT l.order_number, l.item_number, l.original_order_number, l.original_item_number, w.since, w.loaded,
           CASE item_state WHEN 'Canceled' THEN 0 ELSE coalesce(quantity, 1) END AS quantity
    FROM order_line_items l
    JOIN (SELECT order_number, item_number, min(snapshot_id) AS since, bool_or(loaded) AS loaded
          FROM written GROUP BY ALL) w USING (order_number, item_number)
    WHERE item_category = 'Return'),
given_back AS (
    SELECT original_order_number AS order_number, original_item_number AS item_number, sum(quantity) AS quantity,
           min(since) AS since
    FROM returned WHERE original_item_number IS NOT NULL
    GROUP BY ALL HAVING NOT bool_or(loaded))
SELECT concat('order line ', order_number, ' ', item_number, ' was sold ', coalesce(l.quantity, 1), ' times, and ',
              g.quantity, ' are given back') AS broken
FROM given_back g
JOIN order_line_items l USING (order_number, item_number)
LEFT JOIN (SELECT order_number, item_number, max(snapshot_id) AS latest
           FROM written WHERE loaded GROUP BY ALL) w USING (order_number, item_number)
WHERE g.quantity > coalesce(l.quantity, 1) AND coalesce(w.latest < g.since, TRUE)
UNION ALL
SELECT concat('order line ', r.order_number, ' ', r.item_number, ' gives back ', r.original_order_number, ' ',
              r.original_item_number, ', which is not in the book')
FROM returned r
LEFT JOIN order_line_items l ON (l.order_number, l.item_number) = (r.original_order_number, r.original_item_number)
WHERE NOT r.loaded AND l.order_number IS NULL

-- promise: orders: history
-- What orders did is there: the order and the subscription of each action, numbered 1, 2, 3, …; and no two segments of a
-- charge that only orders ever wrote serve on one day.
WITH loaded AS (
    SELECT DISTINCT charge_number
    FROM ducklake_table_insertions('book', 'main', 'rate_plan_charges', 0, $now)
    JOIN ducklake_snapshots('book') USING (snapshot_id)
    WHERE starts_with(commit_message, 'load ')),
spans AS (
    SELECT charge_number, segment, effective_start_date AS first,
           coalesce(effective_end_date, DATE 'infinity') AS upto,
           max(upto) OVER (PARTITION BY charge_number ORDER BY first, segment
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS taken
    FROM rate_plan_charges ANTI JOIN loaded USING (charge_number)
    WHERE upto > first)
SELECT concat('charge ', charge_number, ' segment ', segment, ' serves from ', first, ' on, an earlier one up to ', taken)
       AS broken
FROM spans WHERE taken > first
UNION ALL
SELECT concat('action ', sequence, ' of ', order_number, ' is of an order that is not in the book')
FROM order_actions ANTI JOIN orders USING (order_number)
UNION ALL
SELECT concat('action ', sequence, ' of ', order_number, ' is about ', subscription_number, ', which is not in the book')
FROM order_actions ANTI JOIN subscriptions USING (subscription_number)
UNION ALL
SELECT concat('order ', order_number, ' has ', count(*), ' actions, their last number is ', max(sequence))
FROM order_actions GROUP BY order_number
HAVING count(*) <> max(sequence) OR min(sequence) <> 1

-- promise: orders: answers
-- The answers to orders that were billed with their making name the run's documents, by the numbers that these had then:
-- each document is in one answer, and nothing else is.
WITH made AS (
    SELECT snapshot_id, substr(commit_message, 17) AS bill_run_number
    FROM ducklake_snapshots('book') WHERE starts_with(commit_message, 'orders with run ')),
creating AS (  -- runs that bill subscriptions too were made with new orders; the others, with other values of order lines
    SELECT bill_run_number, unnest(from_json(request->'orders', '["VARCHAR"]')) AS order_number
    FROM bill_runs SEMI JOIN made USING (bill_run_number) WHERE CAST(request->>'subscriptions' AS BOOLEAN)),
answers AS (SELECT c.bill_run_number, order_number, o.bill_run_number AS named, o.response
            FROM creating c LEFT JOIN orders o USING (order_number)),
listed AS (
    SELECT bill_run_number, order_number, 'invoice' AS kind,
           unnest(from_json(response->'invoiceNumbers', '["VARCHAR"]')) AS number FROM answers
    UNION ALL
    SELECT bill_run_number, order_number, 'credit memo',
           unnest(from_json(response->'creditMemoNumbers', '["VARCHAR"]')) FROM answers),
numbered AS (
    SELECT bill_run_number, 'invoice' AS kind, invoice_number AS number
    FROM ducklake_table_insertions('book', 'main', 'invoices', 0, $now) JOIN made USING (snapshot_id, bill_run_number)
    UNION ALL
    SELECT bill_run_number, 'credit memo', credit_memo_number
    FROM ducklake_table_insertions('book', 'main', 'credit_memos', 0, $now) JOIN made USING (snapshot_id, bill_run_number))
SELECT concat('order ', order_number, ' was billed by ', bill_run_number, ' and says ', coalesce(named, 'nothing of it')) AS broken
FROM answers WHERE named IS DISTINCT FROM bill_run_number
UNION ALL
SELECT concat('the answer to ', order_number, ' names the ', kind, ' ', number, ', which ', bill_run_number, ' did not make')
FROM listed ANTI JOIN numbered USING (bill_run_number, kind, number)
UNION ALL
SELECT concat('the ', kind, ' ', number, ' of ', bill_run_number, ' is in ', coalesce(l.orders, 0), ' answers to its orders')
FROM numbered n SEMI JOIN creating USING (bill_run_number)
LEFT JOIN (SELECT bill_run_number, kind, number, count(*) AS orders FROM listed GROUP BY ALL) l
USING (bill_run_number, kind, number)
WHERE coalesce(l.orders, 0) <> 1

-- promise: orders: numbers
-- The last number that was given to an account, an order, a subscription or a charge belongs to one that is in the book.
SELECT concat(last, ' was given as the number of one ', name, ', and the book has none that is called so') AS broken
FROM (SELECT substr(name, 8) AS name,
             format(CASE name WHEN 'number.account' THEN 'A{:08d}' WHEN 'number.order' THEN 'O-{:08d}'
                              WHEN 'number.charge' THEN 'C-{:08d}' ELSE 'A-S{:08d}' END, value) AS last
      FROM billfold.counters WHERE name IN ('number.account', 'number.order', 'number.subscription', 'number.charge'))
ANTI JOIN (SELECT 'account' AS name, account_number AS last FROM accounts
           UNION ALL SELECT 'order', order_number FROM orders
           UNION ALL SELECT 'subscription', subscription_number FROM subscriptions
           UNION ALL SELECT 'charge', charge_number FROM rate_plan_charges) USING (name, last)

-- promise: lifecycle: runs and documents
-- The documents of a posted run are all posted, those of a canceled one all canceled, and a completed run has a draft left,
-- unless it has no documents; its postings are numbered 1, 2, 3, …
SELECT concat(r.bill_run_number, ' is ', r.status, ', its documents are ', d.drafts, ' drafts, ', d.posted, ' posted, ',
              d.canceled, ' canceled, by ', d.postings, ' postings up to number ', coalesce(d.last, 0)) AS broken
FROM bill_runs r
JOIN (SELECT bill_run_number, count(*) FILTER (status = 'Draft') AS drafts, count(*) FILTER (status = 'Posted') AS posted,
             count(*) FILTER (status = 'Canceled') AS canceled, count(*) AS documents,
             count(DISTINCT posting) AS postings, max(posting) AS last
      FROM documents GROUP BY ALL) d USING (bill_run_number)
WHERE CASE r.status WHEN 'Completed' THEN drafts = 0 OR canceled > 0
                    WHEN 'Posted' THEN posted <> documents
                    WHEN 'Canceled' THEN canceled <> documents
                    ELSE TRUE END
   OR postings <> coalesce(last, 0)
UNION ALL
SELECT concat(kind, ' ', document, ' has the target date ', d.target_date, ', its run ', r.target_date)
FROM documents d JOIN bill_runs r USING (bill_run_number)
WHERE d.target_date <> r.target_date
UNION ALL
SELECT concat(what, ' ', id, ' belongs to ', bill_run_number, ', and there is no such run')
FROM (SELECT kind AS what, document AS id, bill_run_number FROM documents
      UNION ALL SELECT 'parked account', account_number, bill_run_number FROM parked_accounts
      UNION ALL SELECT 'usage record', usage_id, bill_run_number FROM processed_usage)
ANTI JOIN bill_runs USING (bill_run_number)

-- promise: lifecycle: progress
-- How far the book says a charge is billed is how far the items of runs that count have billed it; a canceled run counts
-- for nothing. Of a charge that was detached from a schedule, and that no run billed since, it is how far the schedule did.
WITH billed AS (
    SELECT charge_number, segment, bill_run_number, max(service_end_date) + 1 AS upto
    FROM counting
    WHERE processing_type = 'Charge' AND source_type = 'SubscriptionComponent' AND applied_to_item_id IS NULL
    GROUP BY ALL)
SELECT concat('charge ', charge_number, ' segment ', segment, ' counts as billed by ', bill_run_number, ', which is ',
              coalesce(r.status, 'no bill run')) AS broken
FROM charge_progress p LEFT JOIN bill_runs r USING (bill_run_number)
WHERE bill_run_number IS NOT NULL AND coalesce(r.status, 'Canceled') = 'Canceled'
UNION ALL
SELECT concat('charge ', charge_number, ' segment ', segment, ' counts as billed up to ', p.charged_through_date, ' by ',
              bill_run_number, ', whose items go up to ', b.upto)
FROM charge_progress p JOIN billed b USING (charge_number, segment, bill_run_number)
WHERE p.charged_through_date IS DISTINCT FROM b.upto
UNION ALL
SELECT concat('charge ', charge_number, ' segment ', segment, ' is billed by ', b.last, ', but counts as billed by ',
              coalesce(p.bill_run_number, 'no run'))
FROM (SELECT charge_number, segment, max(bill_run_number) AS last FROM billed GROUP BY ALL) b
LEFT JOIN charge_progress p USING (charge_number, segment)
WHERE p.bill_run_number < b.last
   OR (p.bill_run_number IS NULL AND charge_number NOT IN (SELECT charge_number FROM invoice_schedule_charges))
UNION ALL
SELECT concat('charge ', charge_number, ' was detached from schedule ', arg_max(l.invoice_schedule_number, l.detached_through),
              ', which billed it up to ', max(l.detached_through), ', but counts as billed up to ', p.upto)
FROM invoice_schedule_charges l
LEFT JOIN (SELECT charge_number, max(charged_through_date) AS upto, bool_or(bill_run_number IS NOT NULL) AS since
           FROM charge_progress GROUP BY ALL) p USING (charge_number)
WHERE l.is_detached AND l.detached_through IS NOT NULL AND since IS NOT TRUE
GROUP BY charge_number, p.upto
HAVING max(l.detached_through) IS DISTINCT FROM p.upto

-- promise: unchanged: files
-- Every data file that was ever committed is there, byte for byte.
SELECT concat(table_name, ': the file ', file, ' that came with "', message, '" is ',
              CASE WHEN f.sha256 IS NULL THEN 'lost or can''t be read' ELSE 'not what it was' END) AS broken
FROM billfold.contents c LEFT JOIN files_now f USING (file)
WHERE c.file IS NOT NULL AND f.sha256 IS DISTINCT FROM c.sha256

-- promise: unchanged: tables
-- No table or column of the book was dropped, renamed or given another type, and nothing stands in for a table or for one
-- of the functions that these queries call: views are billfold's own, and as it makes them.
SELECT 'the column ' || t.table_name || '.' || c.column_name || ' was dropped, renamed or changed' AS broken
FROM __ducklake_metadata_book.ducklake_column c JOIN __ducklake_metadata_book.ducklake_table t USING (table_id)
WHERE c.end_snapshot IS NOT NULL
UNION ALL
SELECT 'the table ' || table_name || ' was dropped or renamed'
FROM __ducklake_metadata_book.ducklake_table WHERE end_snapshot IS NOT NULL
UNION ALL
SELECT concat('the ', kind, ' ', name, ' is none of billfold''s, or not as it makes it')
FROM (SELECT 'view' AS kind, view_name AS name, sql, end_snapshot FROM __ducklake_metadata_book.ducklake_view
      UNION ALL
      SELECT 'macro', macro_name, sql, end_snapshot
      FROM __ducklake_metadata_book.ducklake_macro JOIN __ducklake_metadata_book.ducklake_macro_impl USING (macro_id)) v
LEFT JOIN own_views o USING (kind, name)
WHERE o.sql IS NULL
   OR v.end_snapshot IS NULL
      AND json_deserialize_sql(json_serialize_sql(v.sql)) <> json_deserialize_sql(json_serialize_sql(o.sql))

-- promise: unchanged: chains
-- The record of what was committed hangs together: each link follows from the one before it, the book's digest from the last
-- ones, and each run's fingerprint from the digest that it read. A run was committed with its orders if it says so.
WITH linked AS (
    SELECT *, lag(chain) OVER (PARTITION BY table_name ORDER BY version, position) AS before FROM billfold.contents),
latest AS (
    SELECT table_name, arg_max(chain, (version, position)) AS chain FROM billfold.contents GROUP BY ALL),
links AS (SELECT table_name, version, arg_max(chain, position) AS chain FROM billfold.contents GROUP BY ALL),
made AS (  -- each run, and each table's chain when it was made
    SELECT r.bill_run_number, r.fingerprint, r.request, r.billfold_version, t.table_name, c.version, c.message
    FROM bill_runs r
    JOIN billfold.contents c ON c.table_name = 'bill_runs'
                            AND regexp_replace(c.message, '^(orders with )?run ', '') = r.bill_run_number
    LEFT JOIN (SELECT DISTINCT table_name FROM billfold.contents WHERE table_name <> 'bill_runs') t ON TRUE),
known AS (
    SELECT m.bill_run_number, m.fingerprint, m.request, m.billfold_version,
           string_agg(concat(m.table_name, ' ', l.chain), chr(10) ORDER BY m.table_name) FILTER (l.chain IS NOT NULL) AS told
    FROM made m ASOF LEFT JOIN links l ON l.table_name = m.table_name AND m.version > l.version
    GROUP BY ALL)
SELECT concat(table_name, ': the record of "', message, '" does not follow from the one before it') AS broken
FROM linked
WHERE chain IS DISTINCT FROM sha256(concat(before, ' ', message, ' ', how, ' ', row_count, ' ',
                                            coalesce(sha256, '-')))
UNION ALL
SELECT concat('the book''s digest is ', h.digest, ', its tables'' histories give ', d.digest)
FROM billfold.head h CROSS JOIN
     (SELECT CASE count(*) WHEN 0 THEN '' ELSE sha256(string_agg(concat(table_name, ' ', chain), chr(10)
                                                                ORDER BY table_name)) END AS digest
      FROM latest WHERE table_name <> 'bill_runs') d
WHERE h.digest IS DISTINCT FROM d.digest
UNION ALL
SELECT concat('the fingerprint of ', bill_run_number, ' does not follow from what it read')
FROM known
WHERE fingerprint IS DISTINCT FROM sha256(concat(CASE WHEN told IS NULL THEN '' ELSE sha256(told) END, ' ', request, ' ',
                                                 billfold_version))
UNION ALL
SELECT DISTINCT concat(bill_run_number, ' was committed as "', message, '" and says otherwise')
FROM made
WHERE starts_with(message, 'orders ') <> (coalesce(request->>'orders_sha256', '') <> '')
UNION ALL
SELECT concat('nothing is recorded about the making of ', bill_run_number)
FROM bill_runs r
WHERE bill_run_number NOT IN (SELECT bill_run_number FROM made) AND billfold_version IS NOT NULL
UNION ALL
SELECT concat('the book has ', count(*), ' heads, its version is ', max(version), ', and commits are recorded up to ',
              (SELECT max(version) FROM billfold.contents))
FROM billfold.head
HAVING count(*) <> 1 OR max(version) < (SELECT coalesce(max(version), 0) FROM billfold.contents)

-- promise: unchanged: rows
-- Every table holds exactly the rows that its commits brought, less those that later commits replaced.
WITH brought AS (
    SELECT row_number() OVER (ORDER BY version, position) AS nth, how, row_count, coalesce(file, message) AS file
    FROM billfold.contents WHERE table_name = $table),
history AS NOT MATERIALIZED (SELECT b.nth, b.how, h.* EXCLUDE (file) FROM ($history) h JOIN brought b USING (file)),
standing AS (
    SELECT $columns FROM history h
    WHERE nth >= coalesce((SELECT max(nth) FROM brought WHERE how = 'whole'), 0)
      AND NOT EXISTS (SELECT 1 FROM history later WHERE later.how = 'replace' AND later.nth > h.nth AND $same)),
now AS (SELECT count(*) AS rows, sum(hash($columns)) AS content FROM $name),
told AS (SELECT count(*) AS rows, sum(hash($columns)) AS content FROM standing),
loaded AS (SELECT coalesce(sum(row_count), 0) AS rows FROM brought)
SELECT concat($table, ' has ', now.rows, ' rows, its history gives ', told.rows,
              CASE WHEN now.rows = told.rows THEN ' with other values' END) AS broken
FROM now CROSS JOIN told
WHERE (now.rows, now.content) IS DISTINCT FROM (told.rows, told.content)
UNION ALL
SELECT concat($table, ': its commits say that they brought ', loaded.rows, ' rows, their files hold ', held)
FROM loaded CROSS JOIN (SELECT count(*) AS held FROM history)
WHERE loaded.rows <> held
