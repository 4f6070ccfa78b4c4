"""What happens to one API request: attach the token, judge the response, renew, repeat.

Used by the auth classes (`blnk_auth.auth`, `httpx`, `httpx2`, `requests`, `aiohttp`), which translate between it and
their HTTP package. It promises that all of them decide in the same way. It never calls the authorization server itself:
`_renewal` does.

* `before_sending`: which request gets a token, and which one.
* `attempts`: how often a request is sent, and what a response means for the next attempt.
* `after_rejection`: what happens after a 401. `after_demand`: what happens if the API asks for a new sign-in.
* `rejection_body`: how the body of a rejection is read or discarded.
* `resumed`: response bodies that the caller can still read after their beginning was read here.
* `redirects`: how a redirected request loses the token. `followed_redirects`: the same for aiohttp.
* `httpx_flow`, `requests_flow`, `requests_hook`, `requests_retry`: the same request flow, as httpx, httpx2 and requests
  run it.
* `aiohttp_retry`, `aiohttp_body`: what follows a response in aiohttp, and how the body of a rejection is read there.
* `client_packages`: the HTTP packages that `Auth` serves, and which of them are imported.
* `niquests_session`, `niquests_body`: what niquests adds to requests, sessions whose requests are awaited.
* `client_errors`: converts our errors to errors of the HTTP package.
* `blocking_and_async`: logic that waits, written once for threads and tasks.
"""
