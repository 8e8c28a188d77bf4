"""Why a document, an item, a charge or an order line is as it is: `api.explain` answers, `paper` prints it.

Amounts are never reckoned here: the functions of `rating` and `schedules` make them again from what the run read, and
are asked for what they pass on the way.
"""
