"""What leaves this machine at somebody else's word: one guarded way to an address that a stranger named."""
