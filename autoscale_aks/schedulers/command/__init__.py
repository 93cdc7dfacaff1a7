"""Any scheduler: a program or a file that gives jobs as JSON, and programs that open and close its nodes."""
