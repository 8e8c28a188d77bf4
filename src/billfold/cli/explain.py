"""`billfold explain`: why a document, item, charge or order line is as it is."""
