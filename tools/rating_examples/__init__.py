"""How the vendor's documented rating cases become tables and expected results: see make_rating_examples.py."""
