"""Plans by price: a portfolio of simple rules, column generation over the best of them, and a bound (issue: G5, G6)."""
