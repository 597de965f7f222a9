"""What templates of the wallets can say."""
