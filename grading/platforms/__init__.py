"""What each course platform gives to download: one description a platform."""
