"""When and how a token is renewed, and what is stored of it.

Used by `source`, `client` and `_request`. Nothing here knows of an API request.

* `schedule`, `goal`, `cooldown`, `failure`, `rejections`: the decisions, and what is remembered. Pure.
* `renewal`, `loading_and_saving`, `token_endpoint`, `ports`: one renewal. `succession`: what a new token keeps of the
  one before it.
* `grant_operations`, `revocation`: what users do by hand.
* `worker`, `single_flight`, `operations`: where that runs, and who waits for it.
* `current_token`, `cached_token`, `credential`, `client_state`, `sources`: what a process has in memory.
* `authorization_grants`: whose token it is. `stored_record`, `store_keys`: its stored form, and where it is stored.
* `client_settings`, `pickled_client`: what `OAuthClient` is made of, and what of it a pickle carries.
"""
