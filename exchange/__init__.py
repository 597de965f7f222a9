"""The roof, and under it the ground floor `exchange.lib`."""
