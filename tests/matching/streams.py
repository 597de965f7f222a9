"""Random streams of commands, narrow enough that orders meet, clash and miss."""

from __future__ import annotations

from hypothesis import strategies as st

from matching.commands import BUY, SELL, Cancel, Command, Place

_ids = st.integers(1, 40)
_members = st.integers(1, 3)
_sides = st.sampled_from([BUY, SELL])
_prices = st.integers(97, 103)
_lots = st.integers(1, 6)
_client_ids = st.sampled_from([None, "mine"])

limits = st.builds(Place, _ids, _members, _sides, _prices, _lots, client_id=_client_ids)
markets = st.builds(
    Place, _ids, _members, _sides, _prices, st.integers(1, 15), rests=st.just(False)
)
with_budget = st.builds(
    Place,
    _ids,
    _members,
    st.just(BUY),
    _prices,
    st.integers(0, 15),
    budget=st.integers(1, 1500),
    rests=st.just(False),
    client_id=_client_ids,
)
cancels = st.builds(Cancel, _ids)
mistakes = st.builds(
    Place,
    _ids,
    _members,
    _sides,
    st.integers(-1, 100),
    st.integers(-1, 2),
    budget=st.sampled_from([None, -1, 0, 50]),
    rests=st.booleans(),
)

streams: st.SearchStrategy[list[Command]] = st.lists(
    st.one_of(limits, limits, limits, markets, with_budget, cancels, cancels, mistakes),
    max_size=60,
)
