"""Forms of the account pages: they check the form, the verbs check the rest."""
