"""F1: who is calling. Accounts, sessions and tokens; what they may do is governance's to say."""
