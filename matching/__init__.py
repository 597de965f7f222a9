"""
The matching engine of one market: price-time priority, in whole numbers.

Nothing here knows Django, money, clocks, chance or the outside world, and nothing
outside the standard library is imported. The same commands always give the same
events, so a day of trading can be replayed and compared.
"""
