"""
What the exchange can do, measured. Each bench is a module with `run(options)`.

`run` returns at least `rate`, `unit` and `ok`; it may print lines for people as it
goes. An optional `add_arguments(parser)` gives the bench options of its own. They are
run by `manage.py bench NAME`.
"""
