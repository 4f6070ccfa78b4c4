"""When and how a token is renewed, and what is stored of it.

Used by `source`, `client` and `_request`. Nothing here knows of an API request.

* `schedule`, `goal`, `cooldown`, `failure`, `rejections`: the decisions, and the values they are made from. Pure.
* `server_pause`: how long the server asked a client to wait.
* `renewal`, `loading_and_saving`, `token_endpoint`, `ports`: one renewal. `predecessor`, `succession`: what a
  new token replaces, and what it keeps of the token before it. `proofs`: the DPoP keys of a client.
* `sign_in_demands`: what follows when the API asks for a new sign-in. `sign_in_state`: what sign-ins share.
* `grant_operations`, `revocation`: what users do by hand. `client_grants`, `due_grants`, `keepalive` and
  `keepalive_settings`: the same for many grants.
* `worker`, `single_flight`, `operations`: on which thread work runs, and how callers wait for it.
* `current_token`, `grant_token`, `fixed_credential`, `cached_token`, `credential`, `client_state`, `sources`, `clocks`:
  what a process has in memory.
* `authorization_grants`, `presenting_grants`: whose token it is, and how it is asked for. `attempt`: the registered
  client at the moment when it asks. `stored_record`, `store_keys`: the stored form of a token, and its key.
* `client_settings`, `pickled_client`: the checked settings of an `OAuthClient`, and which of them a pickle contains.
* `closing`: clients and resources close their connections at the end of a block.
"""
