"""
Proof of solvency: what we owe, in trees of which each member can check their own
leaves, and what we hold against it.

`tree` (our format, xpol2) and `legacy` (the ancestor's) are pure: they hash, fold and
verify; `planting` makes both of a currency's debts, and `levels` keeps them in flat
files. `snapshot` reads the books at one instant, `assets` takes what we hold from
outside of them, `manifest` binds all of it into a signed chain, `publish` runs the
whole, and `lookup` finds what was published.
"""
