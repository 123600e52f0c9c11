"""Who somebody is: users, passwords, tokens, and the limits on guessing them."""
