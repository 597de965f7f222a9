"""Money by bank: codes, statements, lines that are matched, and transfers."""
