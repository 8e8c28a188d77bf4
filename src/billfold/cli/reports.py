"""`billfold report`: a run, for those who look rather than read."""
