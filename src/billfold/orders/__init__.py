"""Orders: what customers ask for, as changes to a book, and the documents that bill them (docs/orders.md)."""
