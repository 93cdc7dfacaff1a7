"""Files that run inside a scheduler: standard library only, Python 3.6 syntax, importing nothing of ours."""
