"""What charges owe, rule by rule (docs/rating.md). `steps/rate.py` puts the parts together.

`spans` when a segment serves, `grids` its billing periods, `models` a whole period's amount, `usage` what was used,
`credits` what was billed too much, `discounts` what is taken off.
"""
