"""The command line: arguments, exit statuses, tables. Nothing is decided here."""
