"""The providers that work by name, one short file each."""
