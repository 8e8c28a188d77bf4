"""`billfold render`: documents to send."""
