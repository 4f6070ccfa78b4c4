"""When and how a token is renewed, and what is stored of it.

Used by `source`, `client` and `_request`. Nothing here knows of an API request.

* `schedule`, `cooldown`, `rejections`, `goal`: the decisions. Pure.
* `renewal`, `stored_grant`, `token_endpoint`, `revocation`, `ports`: the one renewal, on a worker thread.
* `single_flight`: who waits for it.
* `current_token`, `cached_token`, `credential`, `client_state`: what a process has in memory.
* `authorization_grants`: whose token it is. `grant_record`, `store_keys`: its stored form, and where it is stored.
* `pickled_client`: what of it a pickle carries.
"""
