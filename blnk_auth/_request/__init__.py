"""What happens to one API request: attach the token, judge the response, renew, repeat.

Used by the auth classes (`blnk_auth.httpx`, `httpx2`, `requests`), which translate between it and their HTTP package.
It promises that all of them decide alike. It never calls the authorization server itself: `_renewal` does.

* `before_sending`: which request gets a token, and which one.
* `after_rejection`: what happens after a 401.
* `rejection_body`: what is done with the body of a rejection.
* `resumed`: bodies that are given back after their beginning was read.
* `redirects`: where a redirect loses the token.
* `httpx_flow`, `requests_hook`, `requests_retry`: the same request flow, as httpx, httpx2 and requests run it.
* `client_errors`: our errors as errors of the HTTP package.
* `blocking_and_async`: logic that waits, written once for threads and tasks.
"""
