"""How a user signs in: with an authorization code, with a device code, or interactively on this machine.

Used by `client`. A sign-in never renews a token; what it brings is stored as a renewal stores it.

* `client_sign_ins`: the methods of `OAuthClient` for them.
* `start_authorization`, `finish_authorization`, `device`, `interactive`: the sign-ins, classes of one shape: made of
  the client's state and of what is wanted, and then run once, by `run` or `arun`.
* `callback_url`, `pending_sign_ins`: what the browser brings back, and what was begun.
* `loopback`, `page`, `template`: the listener of an interactive sign-in, and what the browser shows.
* `wanted_grant`, `interactive_settings`: what a sign-in asks for, and how it is run.
"""
