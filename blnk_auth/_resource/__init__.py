"""An API that describes its own sign-in (RFC 9728): what is learned of it, and who uses that.

Used by `resource`. What this package promises:

* Nothing that a server sends is used before it is checked, and nothing of it is unbounded.
* Everything that asks a server, a store or a user runs on a worker thread, never in the caller's task.

It never decides when a token is renewed: `_renewal` does.

* `learning`: asks the resource and its authorization server. `learned`: the result. `known`: keeps results.
* `registering`: who the client is at that server. `dynamic_registration`: has it registered. `client_identity`: the
  result.
* `request_sign_in`: signs a user in from inside a request. `sign_in_attempt`: one such sign-in. `asking`: asks the
  user. `pending_requests`: stores who asks. `program_end`: ends all that with the program.
* `resource_state`: what all sources of one resource share. `registered_client`: its client at one server.
* `resource_settings`: what the user passed. `resource_token`: the token of one source. `wanted_token`: whose it is.
  `resource_exchanges`: tokens by exchange and by assertion.
* `resource_rejections`: what follows when the resource rejects a request.
* `resource_sign_ins`: sign-ins that the application starts and finishes. `pickled_resource`: what a pickle has.
* `step_up`: has the user sign in again where the resource asks for more.
"""
