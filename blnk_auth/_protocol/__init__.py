"""The requests to an authorization server, and the meaning of its responses.

Used by every layer above it: `_transport`, `provider`, `providers`, `_renewal`, `source`, `_sign_in`, `_request`,
`config`, `client` and `cli`. It promises that the same response always leads to the same result. It never opens a
socket or calls a store. It never reads a clock either, except `discovery`, which caches metadata for an hour.

* `requests`: builds the requests. `authlib`: the functions of authlib that are used. `http_values`: checks of the names
  and values that are sent.
* `client_authentication`, `assertions`, `presented_tokens`: how the client authenticates, also
  with what others made. `dpop`, `dpop_key`: proofs of possession.
  `signing`: the keys and JWTs of both.
* `token_response`, `documents`: reads a response, and its body. `refusals`, `response_errors`: what a response without
  a token means, and which error it leads to. `pushed_authorization`: the answer to a request that begins a sign-in.
  `access_token`: what a token that is a JWT shows. `redaction`: removes secrets from a server's text.
* `challenges`: whether a new token can resolve a rejection by an API. `demands`: whether it asks for a new sign-in.
  `origins`: which URLs may get a token.
* `discovery`: finds the endpoints of an authorization server. `resource_metadata`: how an API describes its
  sign-in (RFC 9728). `issuer_metadata`: the metadata of the server that it names.
* `client_metadata`: how a client describes itself. `registration`: how it is registered dynamically (RFC 7591).
  `redirect_uris`: where its users may be sent back to.
* `server_settings`: what the builders need to know of a provider. `setting_types`, `setting_checks`: the types and
  checks of a provider's settings.
* `foreign_tokens`: the tokens that other libraries have stored. `callables`: calls a user's callable.
  `presented_tokens`: tokens that others made and a client presents. `http_messages`: requests and responses as values.
  `exchange_log`: one exchange as a line of the log.
"""
