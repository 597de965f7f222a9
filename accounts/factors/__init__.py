"""
Second factors: an authenticator app, a phone, passkeys, recovery codes.

`keyring` says which a member has and checks any of them; each kind has a module of its
own. `second_step` is between the password and the session, `losses` for who lost all.
"""
