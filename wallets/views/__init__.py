"""The pages of the wallets, a module for each subject."""
