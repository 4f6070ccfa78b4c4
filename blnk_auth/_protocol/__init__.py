"""What is sent to an authorization server and what its responses mean.

Used by `_renewal`, `_sign_in`, `_request` and `provider`. Pure: nothing here opens a socket, reads a clock or calls a
store.
"""
