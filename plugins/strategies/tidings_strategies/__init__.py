"""Ways to learn of a connection's news: by webhook, and by asking."""
