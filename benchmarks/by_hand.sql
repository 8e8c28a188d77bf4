-- The bill run of this benchmark's book, as somebody would write it by hand for exactly this book: one period grid
-- (charges aligned to themselves, the account's bill cycle day), whole periods, default settings, nothing billed yet.
-- Variables: folder (input files), target (target date), out (folder for the documents).

CREATE MACRO filled(value) AS nullif(trim(value), '');
CREATE MACRO on_day(month, day) AS least(month::DATE + (day - 1)::INTEGER, last_day(month::DATE));

CREATE TEMP VIEW accounts AS
FROM read_parquet(getvariable('folder') || '/accounts.parquet') WHERE status = 'Active';

CREATE TEMP VIEW subscriptions AS
SELECT *, coalesce(invoice_owner_account_number, account_number) AS owner
FROM read_parquet(getvariable('folder') || '/subscriptions.parquet') WHERE status NOT IN ('Draft', 'Expired');

CREATE TEMP VIEW order_lines AS
SELECT *, account_number AS owner
FROM read_parquet(getvariable('folder') || '/order_line_items.parquet')
WHERE item_state IN ('Executing', 'Booked', 'SentToBilling');

CREATE TEMP TABLE owners AS
SELECT accounts.*, account_number IN (
    SELECT owner FROM subscriptions WHERE status = 'Active' AND filled(invoice_group_number) IS NOT NULL
    UNION ALL
    SELECT owner FROM order_lines WHERE filled(invoice_group_number) IS NOT NULL
) AS has_numbers
FROM accounts;

-- Charges with their subscription and payer; `since` is where billing goes on.
CREATE TEMP VIEW charges AS
SELECT
    c.*, s.owner, s.currency, s.bill_to_contact, s.payment_term, s.sold_to_contact, s.invoice_group_number,
    s.invoice_separately, o.bill_cycle_day,
    CASE billing_period WHEN 'Month' THEN 1 WHEN 'Quarter' THEN 3 WHEN 'Annual' THEN 12 END AS length,
    date_trunc('month', effective_start_date) AS anchor,
    coalesce(charged_through_date, effective_start_date) AS since,
    (billing_timing = 'IN_ARREARS')::INTEGER AS in_arrears
FROM read_parquet(getvariable('folder') || '/rate_plan_charges.parquet') AS c
JOIN subscriptions AS s USING (subscription_number)
JOIN owners AS o ON o.account_number = s.owner
WHERE effective_start_date <= getvariable('target');

CREATE TEMP VIEW periods AS
SELECT *,
    on_day(anchor + to_months(n * length), bill_cycle_day) AS period_start,
    on_day(anchor + to_months((n + 1) * length), bill_cycle_day) AS period_end
FROM (
    SELECT *, unnest(range(
        datediff('month', anchor, since) // length,
        datediff('month', anchor, getvariable('target')) // length + 1
    ))::INTEGER AS n
    FROM charges WHERE charge_type = 'Recurring'
);

-- Every amount owed. A price for a month is a price for each month of the period.
CREATE TEMP TABLE lines AS
WITH owed AS (
    SELECT *, period_start AS service_start_date, period_end - 1 AS service_end_date,
        price * if(list_price_base = 'Per_Month', length, 1) AS unit_price
    FROM periods
    WHERE period_start >= since AND period_end <= coalesce(effective_end_date, period_end)
        AND if(in_arrears = 1, period_end, period_start) <= getvariable('target')
    UNION ALL BY NAME
    SELECT *, since AS service_start_date, since AS service_end_date, price AS unit_price
    FROM charges WHERE charge_type = 'OneTime' AND charged_through_date IS NULL
),
gathered AS (
    SELECT 'SubscriptionComponent' AS source_type, owner, currency, subscription_number, charge_number, charge_name,
        charge_type, service_start_date, service_end_date, unit_price::DECIMAL(18, 4) AS unit_price,
        if(charge_model = 'PerUnit', quantity, 1)::DECIMAL(18, 4) AS quantity, uom, sold_to_contact, false AS is_return,
        bill_to_contact, payment_term, invoice_separately, invoice_group_number, subscription_number AS carrier
    FROM owed
    UNION ALL BY NAME
    SELECT 'OrderLineItem' AS source_type, owner, order_number, item_number, item_name AS charge_name,
        transaction_date AS service_start_date, transaction_date AS service_end_date, amount_per_unit AS unit_price,
        quantity, item_category = 'Return' AS is_return, payment_term, false AS invoice_separately,
        invoice_group_number, order_number || ' ' || item_number AS carrier
    FROM order_lines WHERE item_state = 'SentToBilling' AND bill_target_date <= getvariable('target')
)
SELECT g.* EXCLUDE (invoice_separately, invoice_group_number, owner, currency, bill_to_contact, payment_term, carrier),
    g.owner AS account_number, coalesce(g.currency, o.currency) AS currency,
    coalesce(filled(g.bill_to_contact), filled(o.bill_to_contact)) AS bill_to_contact,
    coalesce(filled(g.payment_term), filled(o.payment_term)) AS payment_term,
    coalesce(filled(o.sequence_set), 'DEFAULT') AS sequence_set,
    if(invoice_separately, subscription_number, NULL) AS separate_subscription,
    if(invoice_separately, NULL, lower(filled(g.invoice_group_number))) AS group_number,
    if(NOT invoice_separately AND filled(g.invoice_group_number) IS NULL AND has_numbers, carrier, NULL) AS ungrouped,
    filled(g.invoice_group_number) AS invoice_group_number,
    round(unit_price * quantity * if(is_return, -1, 1), 2)::DECIMAL(18, 4) AS amount
FROM gathered AS g JOIN owners AS o ON o.account_number = g.owner;

CREATE TEMP TABLE groups AS
SELECT row_number() OVER (
    ORDER BY account_number, currency, bill_to_contact, payment_term, sequence_set, separate_subscription,
        group_number, ungrouped
) AS group_rank, *
FROM (
    SELECT account_number, currency, bill_to_contact, payment_term, sequence_set, separate_subscription, group_number,
        ungrouped, coalesce(sum(amount) FILTER (NOT is_return) < 0, false) AS is_negative,
        bool_or(source_type = 'OrderLineItem' AND NOT is_return) AS sells
    FROM lines GROUP BY ALL
);

-- Sales that net negative can't be invoiced, so their accounts are left out.
CREATE TEMP TABLE placed AS
SELECT
    l.* EXCLUDE (bill_to_contact, payment_term, sequence_set, separate_subscription, group_number, ungrouped, amount),
    group_rank, is_return OR (is_negative AND NOT sells) AS is_credit, if(is_credit, -amount, amount) AS amount
FROM lines AS l
JOIN groups AS g ON l.account_number = g.account_number AND l.currency = g.currency
    AND l.bill_to_contact IS NOT DISTINCT FROM g.bill_to_contact
    AND l.payment_term IS NOT DISTINCT FROM g.payment_term AND l.sequence_set = g.sequence_set
    AND l.separate_subscription IS NOT DISTINCT FROM g.separate_subscription
    AND l.group_number IS NOT DISTINCT FROM g.group_number AND l.ungrouped IS NOT DISTINCT FROM g.ungrouped
WHERE l.account_number NOT IN (SELECT account_number FROM groups WHERE sells AND is_negative);

CREATE TEMP TABLE documents AS
SELECT printf('BR-00000001-%06d', row_number() OVER by_rank) AS id,
    if(is_credit, 'TMP-CM-', 'TMP-INV-') || printf('%08d', row_number() OVER by_rank_of_kind) AS number,
    'Draft' AS status, getvariable('target') AS invoice_date, getvariable('target') AS target_date, d.*,
    g.* EXCLUDE (group_rank, is_negative, sells, separate_subscription, group_number, ungrouped),
    to_json(struct_pack(
        account_number, currency, bill_to_contact, payment_term, sequence_set, separate_subscription, group_number,
        ungrouped
    ))::VARCHAR AS group_key
FROM (
    SELECT group_rank, is_credit, sum(amount) AS amount, count(*) AS item_count,
        any_value(invoice_group_number) AS invoice_group_number,
        CASE WHEN count(DISTINCT source_type) > 1 THEN 'Consolidation'
            WHEN any_value(source_type) = 'OrderLineItem' THEN 'Order' ELSE 'Subscription' END AS source_type
    FROM placed GROUP BY ALL
) AS d JOIN groups AS g USING (group_rank)
WINDOW by_rank AS (ORDER BY group_rank, is_credit),
    by_rank_of_kind AS (PARTITION BY is_credit ORDER BY group_rank);

CREATE TEMP TABLE items AS
SELECT d.id, d.id || printf('-%06d', row_number() OVER (
        PARTITION BY p.group_rank, p.is_credit
        ORDER BY p.source_type DESC, subscription_number, charge_number, service_start_date, order_number,
            length(item_number), item_number
    )) AS item_id, p.* EXCLUDE (invoice_group_number, group_rank, is_return)
FROM placed AS p JOIN documents AS d USING (group_rank, is_credit);

CREATE MACRO file(name) AS getvariable('out') || '/' || name || '.parquet';
COPY (
    SELECT * RENAME (id AS invoice_id) FROM documents WHERE NOT is_credit ORDER BY id
) TO (file('invoices')) (COMPRESSION zstd);
COPY (
    SELECT * RENAME (id AS credit_memo_id) FROM documents WHERE is_credit ORDER BY id
) TO (file('credit_memos')) (COMPRESSION zstd);
COPY (
    SELECT * RENAME (id AS invoice_id) FROM items WHERE NOT is_credit ORDER BY item_id
) TO (file('invoice_items')) (COMPRESSION zstd);
COPY (
    SELECT * RENAME (id AS credit_memo_id) FROM items WHERE is_credit ORDER BY item_id
) TO (file('credit_memo_items')) (COMPRESSION zstd);
