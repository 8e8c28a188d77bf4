"""Commands for analysts: the book as plain files."""
