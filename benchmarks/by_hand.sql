-- The bill run of this benchmark's book, as somebody would write it by hand for exactly this book: one period grid
-- (charges aligned to themselves, the account's bill cycle day), whole periods, default settings, nothing billed yet.
-- Variables: folder (input files), target (target date), out (folder for the documents).

CREATE MACRO input(name) AS getvariable('folder') || '/' || name || '.parquet';
CREATE MACRO output(name) AS getvariable('out') || '/' || name || '.parquet';
CREATE MACRO month_of(day) AS (year(day) * 12 + month(day) - 1)::INTEGER;
CREATE MACRO first_of(month) AS make_date(month // 12, month % 12 + 1, 1);
CREATE MACRO on_day(month, day) AS least(first_of(month) + (day - 1)::INTEGER, last_day(first_of(month)));
SET default_null_order = 'nulls_first';

CREATE TEMP TABLE subscriptions AS
SELECT s.* EXCLUDE (sold_to_contact, invoice_group_number),
    coalesce(invoice_owner_account_number, s.account_number) AS owner,
    coalesce(s.sold_to_contact, a.sold_to_contact) AS sold_to_contact, trim(invoice_group_number) AS group_name
FROM read_parquet(input('subscriptions')) AS s
JOIN read_parquet(input('accounts')) AS a USING (account_number)
WHERE s.status NOT IN ('Draft', 'Expired');

CREATE TEMP TABLE order_lines AS
SELECT *, account_number AS owner, trim(invoice_group_number) AS group_name
FROM read_parquet(input('order_line_items')) WHERE item_state IN ('Executing', 'Booked', 'SentToBilling');

CREATE TEMP TABLE owners AS
SELECT *, coalesce(Grouping__c = 'cost center', false) AS by_center, account_number IN (
    SELECT owner FROM subscriptions WHERE status = 'Active' AND group_name IS NOT NULL
    UNION ALL
    SELECT owner FROM order_lines WHERE group_name IS NOT NULL
) AS has_numbers
FROM read_parquet(input('accounts')) WHERE status = 'Active';

-- What a subscription or order line gives to its lines. Those with one `key` share documents, but for cost centers;
-- `last_month` has the last first day of a period up to the target date.
CREATE TEMP TABLE carriers AS
SELECT *, row_number() OVER (ORDER BY subscription_number NULLS LAST, order_number, item_number) AS carrier,
    dense_rank() OVER (
        ORDER BY account_number, currency, bill_to_contact, payment_term, invoice_template, sequence_set,
            communication_profile, separate_subscription, group_number, ungrouped
    ) AS key
FROM (
    SELECT subscription_number, order_number, item_number, owner AS account_number,
        coalesce(c.currency, o.currency) AS currency,
        coalesce(c.bill_to_contact, o.bill_to_contact) AS bill_to_contact,
        coalesce(c.payment_term, o.payment_term) AS payment_term,
        coalesce(c.invoice_template, o.invoice_template) AS invoice_template,
        coalesce(o.sequence_set, 'DEFAULT') AS sequence_set, o.communication_profile,
        if(subscription_number IS NULL, o.sold_to_contact, c.sold_to_contact) AS sold_to_contact, group_name,
        if(invoice_separately, subscription_number, NULL) AS separate_subscription,
        if(invoice_separately, NULL, lower(group_name)) AS group_number,
        if(NOT invoice_separately AND group_name IS NULL AND has_numbers AND NOT by_center,
            coalesce(subscription_number, order_number || ' ' || item_number), NULL) AS ungrouped,
        bill_cycle_day, by_center,
        month_of(getvariable('target'))
            - (on_day(month_of(getvariable('target')), bill_cycle_day) > getvariable('target'))::INTEGER AS last_month
    FROM (
        FROM subscriptions UNION ALL BY NAME SELECT *, false AS invoice_separately FROM order_lines
    ) AS c
    JOIN owners AS o ON o.account_number = owner
);

-- What is due: every whole period up to the target date, and what is sold once. `since` is where billing goes on,
-- `anchor` the month that periods are counted from.
CREATE TEMP VIEW due AS
SELECT * EXCLUDE (is_once, length, since, anchor, n, bill_cycle_day),
    if(is_once, since, on_day(anchor + n * length, bill_cycle_day)) AS service_start_date,
    if(is_once, since + 1, on_day(anchor + (n + 1) * length, bill_cycle_day)) AS next_start
FROM (
    SELECT * EXCLUDE (last_month, in_arrears, effective_end_date),
        unnest(if(is_once, [0], range(
            (month_of(since) - anchor) // length,
            least(
                (last_month - anchor) // length + if(in_arrears, 0, 1),
                coalesce((month_of(effective_end_date) - anchor) // length, 9999)
            )
        )))::INTEGER AS n
    FROM (
        SELECT charge_number, charge_name, charge_type, charge_model, price, quantity, uom, tiers, effective_end_date,
            carrier, key, bill_cycle_day, last_month, if(by_center, CostCenter__c, NULL) AS group_value,
            charge_type = 'OneTime' AS is_once, billing_timing = 'IN_ARREARS' AS in_arrears,
            CASE billing_period WHEN 'Month' THEN 1 WHEN 'Quarter' THEN 3 WHEN 'Semi_Annual' THEN 6
                WHEN 'Annual' THEN 12 ELSE 1 END::INTEGER AS length,
            if(list_price_base = 'Per_Month', length, 1) AS multiplier, month_of(effective_start_date) AS anchor,
            coalesce(charged_through_date, effective_start_date) AS since
        FROM read_parquet(input('rate_plan_charges')) AS c
        JOIN carriers AS s USING (subscription_number)
        WHERE effective_start_date <= getvariable('target')
            AND NOT (charge_type = 'OneTime' AND charged_through_date IS NOT NULL)
    )
);

CREATE TEMP TABLE used AS
SELECT charge_number, d.service_start_date, sum(u.quantity) AS used
FROM due AS d JOIN read_parquet(input('usage')) AS u USING (charge_number)
WHERE charge_type = 'Usage' AND u.start_date >= d.service_start_date AND u.start_date < d.next_start
GROUP BY ALL;

-- A tier holds what is above the end of the one before; `below` is what all of those cost together.
CREATE TEMP TABLE tiers AS
SELECT tiers, lower, coalesce(upper, 99999999999) AS upper, price, is_flat,
    coalesce(sum(if(is_flat, price, price * (upper - lower))) OVER (
        PARTITION BY tiers ORDER BY lower ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0)::DECIMAL(18, 4) AS below
FROM (
    SELECT tiers, tier.price AS price, tier.priceFormat = 'FlatFee' AS is_flat, tier.endingUnit AS upper,
        coalesce(lag(tier.endingUnit) OVER (PARTITION BY tiers ORDER BY tier.startingUnit), 0)::DECIMAL(18, 4) AS lower
    FROM (
        SELECT tiers, unnest(from_json(tiers, '[{
            "startingUnit": "DECIMAL(18,4)", "endingUnit": "DECIMAL(18,4)", "price": "DECIMAL(18,4)",
            "priceFormat": "VARCHAR"
        }]')) AS tier
        FROM (SELECT DISTINCT tiers FROM read_parquet(input('rate_plan_charges')) WHERE tiers IS NOT NULL)
    )
);

-- Every amount owed. A price for a month is a price for each month of the period.
CREATE TEMP TABLE lines AS
SELECT carrier, key, group_value, false AS is_order, false AS is_return, charge_number, charge_name, charge_type,
    service_start_date, next_start - 1 AS service_end_date, units AS quantity, uom,
    CASE WHEN t.tiers IS NULL THEN d.price WHEN charge_model = 'Volume' AND NOT is_flat THEN t.price
    END * multiplier AS unit_price,
    round(multiplier * CASE
        WHEN t.tiers IS NULL THEN d.price * units
        WHEN charge_model = 'Volume' THEN if(is_flat, t.price, t.price * units)
        ELSE below + if(is_flat, t.price, t.price * (units - lower))
    END, 2)::DECIMAL(18, 4) AS amount
FROM (
    SELECT due.*, CASE charge_type WHEN 'Usage' THEN coalesce(used, 0) ELSE if(charge_model = 'FlatFee', 1, quantity)
    END::DECIMAL(18, 4) AS units
    FROM due LEFT JOIN used USING (charge_number, service_start_date)
) AS d
LEFT JOIN tiers AS t ON t.tiers = d.tiers AND units > lower AND units <= upper
UNION ALL BY NAME
SELECT carrier, key, if(by_center, CostCenter__c, NULL) AS group_value, true AS is_order,
    item_category = 'Return' AS is_return, item_name AS charge_name, transaction_date AS service_start_date,
    transaction_date AS service_end_date, quantity, amount_per_unit AS unit_price,
    round(amount_per_unit * quantity * if(item_category = 'Return', -1, 1), 2)::DECIMAL(18, 4) AS amount
FROM order_lines AS l JOIN carriers AS c USING (order_number, item_number)
WHERE item_state = 'SentToBilling' AND bill_target_date <= getvariable('target');

-- Returns go to a credit memo of their own group, and so does what nets negative without a sale.
CREATE TEMP TABLE halves AS
SELECT key, group_value, is_return, is_return OR (owed < 0 AND NOT ordered) AS is_credit, owed, ordered, charged,
    item_count
FROM (
    SELECT key, group_value, is_return, sum(amount) AS owed, bool_or(is_order) AS ordered,
        NOT bool_and(is_order) AS charged, count(*) AS item_count
    FROM lines GROUP BY key, group_value, is_return
);

-- Sales that net negative can't be invoiced, so their accounts are left out.
CREATE TEMP TABLE documents AS
SELECT row_number() OVER by_rank AS document,
    row_number() OVER (PARTITION BY is_credit ORDER BY key, group_value) AS number,
    (sum(item_count) OVER by_rank - item_count)::BIGINT AS items_before, *
FROM (
    SELECT key, group_value, is_credit, abs(sum(owed)) AS amount, sum(item_count)::BIGINT AS item_count,
        CASE WHEN NOT bool_or(charged) THEN 'Order' WHEN bool_or(ordered) THEN 'Consolidation' ELSE 'Subscription'
        END AS source_type
    FROM halves GROUP BY key, group_value, is_credit
)
JOIN (
    SELECT DISTINCT ON (key) key, account_number, currency, bill_to_contact, payment_term, invoice_template,
        sequence_set, communication_profile, separate_subscription, group_number, ungrouped,
        group_name AS invoice_group_number
    FROM carriers
) USING (key)
WHERE account_number NOT IN (
    SELECT account_number FROM halves JOIN carriers USING (key) WHERE ordered AND owed < 0 AND NOT is_return
)
WINDOW by_rank AS (ORDER BY key, group_value, is_credit);

CREATE MACRO number(document) AS printf('BR-00000001-%06d', document);

CREATE TEMP VIEW headers AS
SELECT number(document) AS id, if(is_credit, 'TMP-CM-', 'TMP-INV-') || printf('%08d', number) AS document_number,
    'Draft' AS status, getvariable('target') AS document_date, getvariable('target') AS target_date, is_credit,
    account_number, currency, bill_to_contact, payment_term, invoice_template, sequence_set, communication_profile,
    source_type, invoice_group_number, group_value AS invoice_group_value, amount, item_count,
    to_json(struct_pack(
        account_number, currency, bill_to_contact, payment_term, invoice_template, sequence_set, communication_profile,
        separate_subscription, group_number, ungrouped, group_value
    ))::VARCHAR AS group_key
FROM documents ORDER BY document;

-- One sort, on which the place of an item in its document rests.
CREATE TEMP TABLE items AS
SELECT document, items_before, d.is_credit, l.* EXCLUDE (key, group_value, is_return, amount),
    if(d.is_credit, -l.amount, l.amount) AS amount
FROM lines AS l
JOIN halves AS h ON l.key = h.key AND l.group_value IS NOT DISTINCT FROM h.group_value AND l.is_return = h.is_return
JOIN documents AS d ON d.key = h.key AND d.group_value IS NOT DISTINCT FROM h.group_value AND d.is_credit = h.is_credit
ORDER BY document, carrier, charge_number, service_start_date;

CREATE TEMP VIEW told_items AS
SELECT number(document) AS id, number(document) || printf('-%06d', i.rowid - items_before + 1) AS item_id,
    if(is_order, 'OrderLineItem', 'SubscriptionComponent') AS source_type, account_number, currency,
    subscription_number, order_number, item_number, sold_to_contact,
    i.* EXCLUDE (document, is_order, items_before, carrier)
FROM items AS i JOIN carriers USING (carrier);

COPY (
    SELECT * EXCLUDE is_credit
        RENAME (id AS invoice_id, document_number AS invoice_number, document_date AS invoice_date)
    FROM headers WHERE NOT is_credit
) TO (output('invoices')) (COMPRESSION zstd);
COPY (
    SELECT * EXCLUDE is_credit
        RENAME (id AS credit_memo_id, document_number AS credit_memo_number, document_date AS credit_memo_date)
    FROM headers WHERE is_credit
) TO (output('credit_memos')) (COMPRESSION zstd);
COPY (
    SELECT * EXCLUDE is_credit RENAME (id AS invoice_id, item_id AS invoice_item_id) FROM told_items WHERE NOT is_credit
) TO (output('invoice_items')) (COMPRESSION zstd);
COPY (
    SELECT * EXCLUDE is_credit RENAME (id AS credit_memo_id, item_id AS credit_memo_item_id)
    FROM told_items WHERE is_credit
) TO (output('credit_memo_items')) (COMPRESSION zstd);
