"""What comes from elsewhere, and how it is checked: `licences`, `audit` and `sbom`; `locks` reads what they look at.

Used by `make audit`, `make sbom`, `make licences` and tests/packaging/test_supply_chain.py. Each module is a program
too: `python -m supply_chain.licences`, with tools/ on PYTHONPATH. They never change a lock, and install nothing.
"""
