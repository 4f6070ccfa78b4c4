"""What is sent to an authorization server and what its responses mean.

Used by every layer above it: `_transport`, `provider`, `providers`, `_renewal`, `source`, `_sign_in`, `_request`,
`config`, `client` and `cli`. It promises that a response means the same wherever it arrives. Nothing here opens a
socket or calls a store. It never reads a clock either, except `discovery`, which caches metadata for an hour.

* `requests`: what is sent. `authlib`: the functions of authlib that are used. `http_values`: what HTTP can carry.
* `client_authentication`, `assertions`: how the client authenticates.
* `token_response`, `documents`: a response, and its body. `refusals`, `response_errors`: what it means if it has no
  token, and which error that is. `redaction`: what of it an error may quote.
* `challenges`: whether a rejection by an API is resolved by a new token. `origins`: which URLs may get a token.
* `discovery`: where an authorization server's endpoints are.
* `server_settings`: what is needed of a provider. `setting_types`, `setting_checks`: its settings, and their checks.
* `callables`: how a user's callable is called. `http_messages`: requests and responses as values. `exchange_log`: an
  exchange as a line of the log.
"""
