"""Web Push: news on devices whose pages are closed (RFC 8030, 8291, 8292)."""
