"""How a user signs in: with an authorization code, with a device code, or interactively on this machine.

Used by `client`. It promises that the tokens of a sign-in are stored in the same way as renewed ones. A sign-in never
renews a token.

* `client_sign_ins`, `client_authorizations`: the methods of `OAuthClient` for them.
* `client_exchanges`: its methods for tokens that are issued for another token or an assertion, without a sign-in.
* `client_many_grants`: its methods for all grants that users gave by them.
* `start_authorization`, `finish_authorization`, `device`, `interactive`: the sign-ins. Each is a class that is made
  from the client's state and what is wanted, and then run once, by `run` or `arun`, which take nothing more.
* `one_time_exchange`: exchanges what may be used once, obtained outside of OAuth, for a user's tokens.
* `callback_url`: reads the URL that the browser comes back with. `pending_sign_ins`: stores the sign-ins that were
  started.
* `loopback`, `listener_address`, `page`, `template`: the listener of an interactive sign-in, and the page that the
  browser shows.
* `wanted_grant`, `interactive_settings`: what a sign-in asks for, and its checked arguments.
"""
