"""Plans and snapshots as text: JSON answers, tables, sentences. Pure."""
